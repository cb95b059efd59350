// The question in the address of Quality, the times that it means, and what the page says of the answer.

import { expect, test } from 'vitest';
import { askedOf, axisEnd, besideOf, hrefOf, placesOf, rangeOf, type Quality } from '../src/lib/quality';
import { chartSentence, differenceWords, share } from '../src/lib/quality-words';
import { routeOf } from '../src/lib/route';

const now = new Date(2026, 10, 26, 13, 5);
const asked = (query: string) => askedOf(query);

test('a question survives the address', () => {
  for (const query of ['', 'period=week', 'by=lot&beside=week', 'from=2026-11-01T00:00:00.000Z&to=2026-11-02T00:00:00.000Z&lot=a%26b']) {
    const route = routeOf(hrefOf(asked(query)));
    expect(askedOf(route.at ?? '')).toEqual(asked(query));
  }
  expect(asked('period=never&by=colour&beside=x')).toMatchObject({ period: 'today', by: 'shift', beside: null });
  expect(asked('from=never&to=2026-11-02')).toMatchObject({ period: 'today', from: '' });
});

test('days are those of the clock on the wall', () => {
  expect(rangeOf(asked('period=yesterday'), now)).toEqual({ from: new Date(2026, 10, 25), to: new Date(2026, 10, 26) });
  expect(rangeOf(asked('period=week'), now)).toEqual({ from: new Date(2026, 10, 20), to: new Date(2026, 10, 27) });
});

test('a day that is not over stands beside as much of the other one', () => {
  expect(besideOf(asked('beside=before'), now)).toEqual({ from: new Date(2026, 10, 25), to: new Date(2026, 10, 25, 13, 5) });
  expect(besideOf(asked('period=yesterday&beside=week'), now)).toEqual({ from: new Date(2026, 10, 18), to: new Date(2026, 10, 19) });
  expect(besideOf(asked(''), now)).toBeNull();
});

const quality = (more: object) => ({ change: null, chart: { mean: 0.1, each: 'hour', points: [] }, beside: null, ...more }) as unknown as Quality;

test('the chart is said in one sentence', () => {
  const calm = (points: number) => quality({ chart: { mean: 0.1, points: [{ parts: 0, rules: [] }, ...Array.from({ length: points }, () => ({ parts: 50, rules: [] }))] } });
  expect(chartSentence(calm(8))).toBe('In control: no rule is broken.');
  expect(chartSentence(calm(7))).toContain('too few to call it in control');
  expect(chartSentence(quality({ chart: { mean: null, points: [] } }))).toBe('');
  expect(chartSentence(quality({ change: { at: new Date().toISOString(), before: 0.0105, after: 0.042 } }))).toMatch(/^Since \d\d:\d\d: 4.2% rejects instead of 1.1%\.$/);
  const points = [{ from: new Date().toISOString(), rules: [2, 3] }];
  expect(chartSentence(quality({ chart: { mean: 0.1, points } }))).toContain('One point breaks a rule');
});

test('a difference that may be chance is not called one', () => {
  const beside = (difference: object) => differenceWords(quality({ beside: { difference } }));
  expect(beside({ share: 0.02, low: 0.01, high: 0.03 })).toBe('2.00 percentage points more rejects (95 %: 1.00 to 3.00).');
  expect(beside({ share: -0.002, low: -0.01, high: 0.004 })).toBe('No clear difference: 0.20 percentage points (95 %: -1.00 to 0.40).');
});

test('places are summed over labels, or of one', () => {
  const places = { side: 2, labels: [{ label: 'pit', cells: [1, 0, 0, 3] }, { label: 'burr', cells: [0, 2, 0, 1] }] };
  expect(placesOf(quality({ places }), null)).toEqual({ cells: [1, 2, 0, 4], most: 4, sum: 7 });
  expect(placesOf(quality({ places }), 'burr')).toEqual({ cells: [0, 2, 0, 1], most: 2, sum: 3 });
});

test('small numbers keep two digits, and axes end at round ones', () => {
  expect([share(0), share(0.00123), share(0.0123), share(0.123), share(0.99999)]).toEqual(['0.0%', '0.12%', '1.2%', '12.3%', '99.9%']);
  for (const [most, end] of [[0.13, 0.2], [0.02, 0.02], [0.9, 1], [0, 0.0001]] as const) expect(axisEnd(most)).toBeCloseTo(end, 9);
});
