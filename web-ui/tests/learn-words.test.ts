import { describe, expect, it } from 'vitest';
import type { Gate, GateRate, GateSet } from '../src/lib/learning';
import { estimatesOf, etaWord, flipName, missingOf, pWord, reasonShort, reasonsOf, reasonWord, regressedOf, rough, rowsOf, setWord, stageWord, standing, untoldOf } from '../src/lib/learn-words';
import { dayOf, paceOf, tallied } from '../src/lib/pace';
import { routeOf } from '../src/lib/route';

const rate = (change: Partial<GateRate> = {}): GateRate => ({ champion: 2, candidate: 1, lost: 0, won: 1, margin: 0.02, p: 0.003, non_inferior: true, missing: null, ...change });
const estimates = { share: 0.01, audited: 40, bad: 12, good: 28, escape_rate: 0.083, escape_ci: [0.015, 0.354] as [number, number], overkill_rate: null, overkill_ci: null };

describe('reasons', () => {
  it('says why in words, and the numbers behind them', () => {
    expect(reasonsOf({ reasons: [{ reason: 'low_margin', detail: 'scratch 0.52, edge_chip 0.47' }, { reason: 'audit', detail: ' ' }] })).toEqual([
      { words: 'The model can hardly tell two labels apart', detail: 'scratch 0.52, edge chip 0.47' },
      { words: 'Picked at random, to check the line', detail: null },
    ]);
  });
  it('has words for a part that drifted', () => {
    expect([reasonWord('drifted'), reasonShort('drifted')]).toEqual(['It lies far from what the model learned from, as more parts do than usual', 'drifted']);
  });
  it('shows a reason of a newer daemon by its name', () => {
    expect(reasonWord('too_shiny')).toBe('Too shiny');
  });
});

describe('estimates', () => {
  it('gives rate and interval, or nothing', () => {
    expect(estimatesOf({ estimates })).toEqual([
      { kind: 'escapes', rate: '8.3%', interval: '1.5% to 35%' },
      { kind: 'overkill', rate: null, interval: null },
    ]);
  });
  it('never calls a small share nothing', () => {
    expect([rough(0), rough(0.0004), rough(0.05), rough(1)]).toEqual(['0%', 'under 0.1%', '5.0%', '100%']);
  });
});

describe('the gate', () => {
  const set = (name: string): GateSet => ({ name, n_good: 2, n_bad: 1, escapes: rate(), overkill: rate(), reviews: rate(), classes: [] });
  const gate: Gate = {
    passed: false,
    flips: [],
    flips_total: 0,
    words: [],
    sets: [
      { ...set('golden'), classes: [{ name: 'pit', n: 9, champion_right: 9, candidate_right: 7, regressed: true }, { name: 'dent', n: 9, champion_right: 9, candidate_right: 9, regressed: false }] },
      { ...set('newest'), escapes: rate({ non_inferior: false, missing: 300 }) },
      { ...set('pooled'), escapes: rate({ non_inferior: false, missing: 84 }), reviews: rate({ non_inferior: false, missing: 5 }) },
    ],
  };
  it('tells "no" from "not known yet"', () => {
    expect([rate(), rate({ non_inferior: false }), rate({ non_inferior: false, missing: 84 })].map(standing)).toEqual(['yes', 'no', 'unknown']);
  });
  it('says what is missing, and who lost', () => {
    expect(missingOf(gate)).toEqual([
      '84 more bad parts with a label, and the gate can tell about escapes.',
      '5 more parts with a label, and the gate can tell about parts held for review.',
    ]);
    expect(regressedOf(gate).map((c) => [c.name, c.set])).toEqual([['pit', 'Golden set']]);
  });
  it('has a row for each rate that could be told, of the parts to which it can happen', () => {
    expect(rowsOf(set('golden')).map((row) => [row.kind, row.of])).toEqual([['escapes', 1], ['overkill', 2], ['reviews', 3]]);
    expect(rowsOf({ ...set('golden'), n_good: 0, overkill: null }).map((row) => row.kind)).toEqual(['escapes', 'reviews']);
  });
  it('says which rates could not be told, and why', () => {
    const none = { escapes: null, overkill: null, reviews: null };
    const sets = [{ ...set('golden'), n_good: 0, overkill: null }, { ...set('newest'), n_bad: 0, escapes: null }, { ...set('pooled'), ...none, n_good: 0, n_bad: 0 }];
    expect(untoldOf({ ...gate, sets })).toEqual(['Golden set: no good parts to tell overkill by.', 'Newest labels: no bad parts to tell escapes by.', 'All together: no labelled parts to judge by.']);
    expect(untoldOf(gate)).toEqual([]);
  });
  it('names sets and stages, those of a newer daemon by their names', () => {
    expect(['golden', 'pooled', 'last_week'].map(setWord)).toEqual(['Golden set', 'All together', 'Last week']);
    expect(['features', 'all_layers', 'cooling_down'].map(stageWord)).toEqual(['Reading the pictures', 'Training all layers', 'Cooling down']);
  });
  it('names the parts of the line by their number, others by their file', () => {
    expect(['line/123.jpg', 'base/x.jpg', 'base/pit/07.png', 'line/a.jpg', 'x.jpg'].map(flipName)).toEqual(['#123', 'x.jpg', '07.png', 'a.jpg', 'x.jpg']);
  });
  it('never calls a p-value nothing', () => {
    expect([pWord(0.0004), pWord(0.0312)]).toEqual(['< 0.001', '0.031']);
  });
});

it('tells how long, no finer than it knows', () => {
  expect([3, 44, 120, 5_400, 7_500, -1, NaN].map(etaWord)).toEqual(['a few seconds', 'about 40 s', 'about 2 min', 'about 1 h 30 min', 'about 2 h 5 min', 'not known yet', 'not known yet']);
});

describe('pace', () => {
  const every = (ms: number, n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * ms);
  it('is that of the run that goes on', () => {
    expect(paceOf(every(1_000, 30), 30_000)).toBeCloseTo(60);
    expect(paceOf([...every(1_000, 5), ...every(2_000, 10, 90_000)], 110_000)).toBeCloseTo(30);
  });
  it('is not told from too little, after a pause, or from nothing', () => {
    expect(paceOf([], 0)).toBeNull();
    expect(paceOf(every(1_000, 2), 2_000)).toBeNull();
    expect(paceOf(every(1_000, 30), 90_000)).toBeNull();
    expect(paceOf([5, 5, 5], 6)).toBeNull();
  });
  it('counts a day at a time, never under nothing', () => {
    const at = Date.UTC(2026, 2, 1, 12);
    const one = tallied(null, 1, at);
    expect(tallied(one, 1, at)).toEqual({ day: dayOf(at), count: 2 });
    expect(tallied(one, 1, at + 86_400_000).count).toBe(1);
    expect(tallied(null, -1, at).count).toBe(0);
  });
});

it.each([
  ['', { page: 'live', at: null }],
  ['#part/12', { page: 'live', at: '12' }],
  ['#part', { page: 'live', at: null }],
  ['#part/0', { page: 'live', at: null }],
  ['#kiosk=abc', { page: 'live', at: null }],
  ['#part/x', { page: 'live', at: null }],
  ['#review', { page: 'review', at: null }],
  ['#review/3', { page: 'live', at: null }],
  ['#models', { page: 'models', at: null }],
  ['#models/5e3c', { page: 'models', at: '5e3c' }],
  ['#models/job-4', { page: 'models', at: 'job-4' }],
  ['#models/<b>', { page: 'live', at: null }],
])('%j names a page', (hash, route) => {
  expect(routeOf(hash)).toEqual(route);
});
