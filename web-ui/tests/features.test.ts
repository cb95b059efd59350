import { describe, expect, it } from 'vitest';
import { inside, kindsOf, nearest, towards, WHOLE, zoomed, type Points } from '../src/lib/features';

const points = (change: Partial<Points> = {}): Points => ({
  ids: [1, 2, 3, 4],
  x: [0, 0.5, -0.5, 0.4],
  y: [0, 0, 0, 0.4],
  at_ms: [1_000, 2_000, 3_000, 4_000],
  verdicts: ['pass', 'fail', 'pass', 'review'],
  said: ['good', 'scratch', null, 'edge_chip'],
  labels: [null, 'scratch', null, 'scratch'],
  waiting: [false, false, false, false],
  pictures: [true, true, true, true],
  ...change,
});

describe('the marks of the map', () => {
  it('differ in outline and colour, the most frequent first and what has no name last', () => {
    const { kinds, of } = kindsOf(points(), 'label');
    expect(kinds.map(({ word, count }) => [word, count])).toEqual([['Scratch', 2], ['Nobody has said', 2]]);
    expect([...of]).toEqual([1, 0, 1, 0]);
    const verdicts = kindsOf(points(), 'verdict').kinds;
    expect(new Set(verdicts.map(({ shape }) => shape)).size).toBe(3);
    expect(verdicts[0]).toMatchObject({ word: 'Pass', count: 2, shape: 'dot' });
  });

  it('count every point once, by time too', () => {
    for (const by of ['verdict', 'said', 'label', 'time'] as const) {
      const { kinds, of } = kindsOf(points(), by);
      expect(kinds.reduce((sum, kind) => sum + kind.count, 0)).toBe(4);
      expect([...of].every((kind) => kind < kinds.length)).toBe(true);
    }
    const ages = kindsOf(points({ at_ms: [4_000, 1_000, 2_000, 3_000] }), 'time').of;
    expect(ages[1]! <= ages[2]! && ages[2]! <= ages[3]! && ages[3]! <= ages[0]!).toBe(true);
    expect(kindsOf(points({ ids: [], x: [], y: [], at_ms: [], verdicts: [], said: [], labels: [] }), 'time').of).toHaveLength(0);
  });
});

describe('pointing at the map', () => {
  it('finds what lies in a line drawn around it, whatever its shape', () => {
    const square = [-1, -1, 1, -1, 1, 1, -1, 1];
    expect(inside(square, 0, 0)).toBe(true);
    expect(inside(square, 2, 0)).toBe(false);
    // A horseshoe: between its arms is outside.
    const horseshoe = [-1, -1, 1, -1, 1, 1, 0.5, 1, 0.5, -0.5, -0.5, -0.5, -0.5, 1, -1, 1];
    expect(inside(horseshoe, 0, 0.5)).toBe(false);
    expect(inside(horseshoe, 0.75, 0.5)).toBe(true);
    expect(inside([], 0, 0)).toBe(false);
  });

  it('finds the nearest point within reach', () => {
    expect(nearest(points(), 0.45, 0.02, 0.1)).toBe(1);
    expect(nearest(points(), 0.9, 0.9, 0.1)).toBe(-1);
  });

  it('goes from point to point by arrows, rather straight ahead than aside', () => {
    expect(towards(points(), 0, 1, 0)).toBe(1);
    expect(towards(points(), 0, -1, 0)).toBe(2);
    expect(towards(points(), 0, 0, 1)).toBe(3);
    expect(towards(points(), 2, -1, 0)).toBe(-1);
  });

  it('comes nearer under the pointer, and shows the whole at the end', () => {
    const near = zoomed(WHOLE, 2, 0.5, 0.5);
    expect(near).toEqual({ zoom: 2, x: 0.25, y: 0.25 });
    expect(zoomed(near, 0.1, 0.5, 0.5)).toEqual(WHOLE);
    expect(zoomed(WHOLE, 1e9, 0, 0).zoom).toBe(40);
  });
});
