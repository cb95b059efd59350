import { describe, expect, it } from 'vitest';
import { count, ms, percent, span, when } from '../src/lib/format';
import { alsoFound, labelWord, reasonOf, regionOf, sentence } from '../src/lib/words';
import { heat, part } from './parts';

const scratch = part({
  verdict: 'fail',
  label: 'scratch',
  found: [{ label: 'scratch', score: 0.934 }],
  heat: heat(16, 16, { 34: 250 }),
});

describe('reasonOf', () => {
  it('names the defect, where, and how sure', () => {
    expect(reasonOf(scratch)).toBe('Scratch, upper left, 0.93');
  });
  it('gives no place from the heat map of another label', () => {
    expect(reasonOf({ ...scratch, heat: heat(16, 16, { 34: 250 }, 'pit') })).toBe('Scratch, 0.93');
  });
  it('gives no place without a usable map', () => {
    expect(reasonOf({ ...scratch, heat: null })).toBe('Scratch, 0.93');
    expect(reasonOf({ ...scratch, heat: { label: 'scratch', width: 3, height: 3, cells: '!' } })).toBe('Scratch, 0.93');
  });
  it('falls back on the label where nothing is listed as found', () => {
    expect(reasonOf({ ...scratch, found: [], heat: null, scores: [{ label: 'scratch', score: 0.4 }] })).toBe('Scratch, 0.40');
  });
  it('says the cause of no decision', () => {
    expect(reasonOf(part({ verdict: 'no_decision', cause: 'late' }))).toBe('Deadline passed');
    expect(reasonOf(part({ verdict: 'no_decision', cause: null, detail: 'camera unplugged' }))).toBe('camera unplugged');
  });
  it('says that a pass has nothing', () => {
    expect(reasonOf(part())).toBe('No defect found');
  });
});

describe('alsoFound', () => {
  it('lists the other labels, and nothing where there are none', () => {
    const both = { ...scratch, found: [...scratch.found, { label: 'edge_chip', score: 0.71 }] };
    expect(alsoFound(both)).toBe('also edge chip 0.71');
    expect(alsoFound(scratch)).toBeNull();
  });
});

it.each([
  [0, 0, 'upper left'],
  [0.5, 0.5, 'centre'],
  [0.34, 0.1, 'top'],
  [0.99, 0.5, 'right'],
  [0.1, 0.99, 'lower left'],
  [1, 1, 'lower right'],
])('(%f, %f) is %s', (x, y, words) => {
  expect(regionOf({ x, y })).toBe(words);
});

it('writes labels as words', () => {
  expect(labelWord('edge_chip')).toBe('Edge chip');
});

it('makes sentences of the daemon’s words and leaves names in them alone', () => {
  expect(sentence('lower `train.memory_gib`')).toBe('Lower train.memory_gib.');
  expect(sentence('gone!')).toBe('Gone!');
});

describe('numbers', () => {
  it('never rounds a flaw away', () => {
    expect(percent(0.99996)).toBe('99.9%');
    expect(percent(1)).toBe('100.0%');
    expect(percent(null)).toBe('–');
  });
  it('keeps a digit that means something', () => {
    expect(ms(120)).toBe('0.1');
    expect(ms(31_400)).toBe('31');
    expect(ms(1_500_000)).toBe('1,500');
    expect(count(1234567)).toBe('1,234,567');
  });
  it('names the day only where it is another', () => {
    const now = new Date(2026, 2, 1, 14, 0);
    expect(when(new Date(2026, 2, 1, 9, 5).toISOString(), now.getTime())).toBe('09:05');
    expect(when(new Date(2026, 1, 28, 9, 5).toISOString(), now.getTime())).toBe('28 Feb 2026, 09:05');
    expect(when('never')).toBe('never');
  });
  it('tells spans', () => {
    expect([span(-5), span(8_900), span(200_000), span(7_500_000)]).toEqual(['0 s', '8 s', '3 min', '2 h 5 min']);
  });
});
