// What the page makes of a camera's answers.

import { describe, expect, test } from 'vitest';
import { canBeSet, clipped, grouped, matching, type Feature } from '../src/lib/cameras';

const feature = (name: string, group: string, more: Partial<Feature> = {}): Feature => ({ name, group, kind: 'integer', value: '1', unit: null, range: null, step: null, entries: [], access: 'read_write', description: null, ...more });

describe('features', () => {
  const all = [feature('Width', 'ImageFormat'), feature('ExposureTime', 'Acquisition', { description: 'How long the shutter is open' }), feature('Height', 'ImageFormat')];

  test('every word of a search counts, wherever it stands', () => {
    const names = (search: string) => matching(all, search).map(({ name }) => name);
    expect(names('')).toEqual(['Width', 'ExposureTime', 'Height']);
    expect(names(' IMAGE  hei')).toEqual(['Height']);
    expect(names('shutter')).toEqual(['ExposureTime']);
    expect(names('shutter width')).toEqual([]);
  });

  test('groups stay in the order of the camera, each once', () => {
    expect(grouped(all).map(([group, of]) => [group, of.length])).toEqual([
      ['ImageFormat', 2],
      ['Acquisition', 1],
    ]);
  });

  test('what the camera only tells cannot be set', () => {
    expect(canBeSet(feature('a', 'g'))).toBe(true);
    expect(canBeSet(feature('a', 'g', { access: 'read' }))).toBe(false);
    expect(canBeSet(feature('a', 'g', { access: 'none' }))).toBe(false);
    expect(canBeSet(feature('a', 'g', { kind: 'other' }))).toBe(false);
    expect(canBeSet(feature('a', 'g', { kind: 'command', access: 'write', value: null }))).toBe(true);
    expect(canBeSet(feature('a', 'g', { access: 'write' }))).toBe(false);
  });
});

test('the ends of the histogram are shares of all pixels', () => {
  const histogram = Array<number>(64).fill(0);
  expect(clipped({ histogram })).toEqual({ dark: 0, bright: 0 });
  histogram[0] = 1;
  histogram[30] = 2;
  histogram[63] = 1;
  expect(clipped({ histogram })).toEqual({ dark: 0.25, bright: 0.25 });
});
