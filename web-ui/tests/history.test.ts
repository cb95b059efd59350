// The question in the address of History, and which rows are drawn.

import { expect, test } from 'vitest';
import { askedOf, exportUrl, hrefOf, inSight, isLikeness, queryOf, rowOf } from '../src/lib/history';
import { routeOf } from '../src/lib/route';
import { localOf, midnight, timeOf } from '../src/lib/times';

test('a question survives the address, whatever is in it', () => {
  const asked = { serial: 'A&B=#1 ü', label: 'edge chip', verdict: 'fail', score_from: '0.5' };
  const route = routeOf(hrefOf(asked));
  expect(route.page).toBe('history');
  expect(askedOf(route.at ?? '')).toEqual(asked);
  expect(queryOf({ label: 'b', from: 'a' })).toBe(queryOf({ from: 'a', label: 'b' }));
});

test('words and likeness stand in the address, and not among the conditions of counts and exports', () => {
  const asked = { words: 'Kratzer & Riss', verdict: 'fail' };
  expect(askedOf(routeOf(hrefOf(asked)).at ?? '')).toEqual(asked);
  expect(exportUrl(asked, 'csv', 't')).not.toContain('words');
  expect(exportUrl(asked, 'csv', 't')).toContain('verdict=fail');
  expect([isLikeness(asked), isLikeness({ like: '7' }), isLikeness({ verdict: 'fail' })]).toEqual([true, true, false]);
});

test('what is unknown or empty is no condition', () => {
  expect(askedOf('nonsense=1&label=&lot=%20&camera=top')).toEqual({ camera: 'top' });
  expect(hrefOf({})).toBe('#history');
  expect(routeOf('#history')).toEqual({ page: 'history', at: null });
  expect(routeOf('#historyx').page).toBe('live');
});

test('only rows in sight are drawn, some above and below', () => {
  expect(inSight(0, 500, 50, 1, 10_000, 6)).toEqual([0, 16]);
  expect(inSight(50_000, 500, 50, 1, 10_000, 6)).toEqual([994, 1016]);
  expect(inSight(1000, 600, 200, 5, 33, 2)).toEqual([15, 33]);
  expect(inSight(0, 500, 50, 1, 0, 6)).toEqual([0, 0]);
});

test('a row takes its score from what the verdict rests on', () => {
  const part = { id: 4, label: 'pit', scores: [{ label: 'good', score: 0.1 }], found: [{ label: 'pit', score: 0.8 }], ledger: { total_us: 7, marks: [] }, heat: {} };
  const row = rowOf(part as never);
  expect([row.score, row.latency_us, 'heat' in row]).toEqual([0.8, 7, false]);
});

test('local times go there and back', () => {
  const local = '2026-11-26T06:30';
  expect(localOf(timeOf(local))).toBe(local);
  expect([timeOf(''), timeOf('never'), localOf(undefined), localOf('never')]).toEqual(['', '', '', '']);
  const now = new Date(2026, 10, 26, 13, 5);
  expect(midnight(-1, now)).toEqual(new Date(2026, 10, 25));
});
