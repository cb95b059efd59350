import { describe, expect, it } from 'vitest';
import { columnsFor, viewsOf, within } from '../src/lib/views';
import { reasonOf, weightWords } from '../src/lib/words';
import { heat, part } from './parts';

const two = [
  { name: 'top', area: [0, 0, 300, 200] },
  { name: 'side', area: [300, 0, 100, 100] },
];
const says = (region: string, verdict: 'pass' | 'fail' | 'review', tile: number[]) => ({ region, verdict, label: null, score: null, tile, model: 'ab', weights: [] as { view: string; weight: number | null }[] });

describe('views', () => {
  it('are the places of cameras in the whole picture, with the worst that their regions say', () => {
    const seen = viewsOf({ views: two, regions: [says('edge', 'fail', [310, 20, 10, 10]), says('face', 'pass', [350, 20, 10, 10])] });
    expect(seen.map(({ name, verdict }) => [name, verdict])).toEqual([['top', null], ['side', 'fail']]);
    expect(seen[1]!.box).toEqual({ left: 0.75, right: 1, top: 0, bottom: 0.5 });
    expect(seen[0]!.ratio).toBe(1.5);
  });

  it('have one word where a model sees them together, and say what each weighed', () => {
    const region = { ...says('part', 'fail', [300, 0, 100, 100]), weights: [{ view: 'side', weight: 0.81 }, { view: 'dark_field', weight: null }, { view: 'top', weight: 0.19 }] };
    expect(viewsOf({ views: two, regions: [region] }).map(({ verdict }) => verdict)).toEqual(['fail', 'fail']);
    expect(weightWords(region)).toEqual(['side 0.81', 'dark field did not come', 'top 0.19']);
  });

  it('are none where one camera sees the part, or where a place has no size', () => {
    expect(viewsOf(part())).toEqual([]);
    expect(viewsOf({ views: two.slice(0, 1) })).toEqual([]);
    expect(viewsOf({ views: [two[0]!, { name: 'side', area: [] }] })).toEqual([]);
  });

  it('say where on the part, not where in the joined picture', () => {
    const views = viewsOf({ views: two });
    expect(within(views, { x: 0.76, y: 0.49 })).toEqual({ view: 'side', at: { x: expect.closeTo(0.04), y: 0.98 } });
    expect(within([], { x: 0.3, y: 0.4 })).toEqual({ view: null, at: { x: 0.3, y: 0.4 } });
    // The hottest of 4 x 2 cells lies in the upper right corner of the joined picture: on the side's upper half.
    const found = [{ label: 'scratch', score: 0.93 }];
    const scratched = part({ verdict: 'fail', label: 'scratch', found, heat: heat(4, 2, { 3: 240 }), views: two });
    expect(reasonOf(scratched)).toBe('Scratch, side, centre, 0.93');
    expect(reasonOf({ ...scratched, views: [] })).toBe('Scratch, upper right, 0.93');
  });

  it('stand beside each other in a wide field, above each other in a high one', () => {
    expect(columnsFor([1, 1], 2)).toBe(2);
    expect(columnsFor([1, 1], 0.5)).toBe(1);
    expect(columnsFor([1, 1, 1, 1], 1)).toBe(2);
    expect(columnsFor([3, 3], 1)).toBe(1);
  });
});
