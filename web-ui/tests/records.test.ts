import { describe, expect, it } from 'vitest';
import { MockLine } from '../mock/line';
import { unaccounted, yieldOf } from '../src/lib/law';
import { stepsOf } from '../src/lib/ledger';
import { mergeLatest } from '../src/lib/merge';
import { part } from './parts';

describe('law', () => {
  it('counts what has no verdict', () => {
    expect(unaccounted({ triggered: 10, pass: 5, fail: 1, review: 1, no_decision: 1, in_flight: 2 })).toBe(0);
    expect(unaccounted({ triggered: 10, pass: 5, fail: 1, review: 1, no_decision: 1, in_flight: 1 })).toBe(1);
  });
  it('has no yield before the first verdict', () => {
    expect(yieldOf({ pass: 0, fail: 0, review: 0, no_decision: 0 })).toBeNull();
    expect(yieldOf({ pass: 3, fail: 0, review: 1, no_decision: 0 })).toBe(0.75);
  });
});

describe('mergeLatest', () => {
  it('puts the newest first, each once, and takes the newer word', () => {
    const known = [part({ id: 3 }), part({ id: 2 })];
    const news = [part({ id: 2, late_result: { verdict: 'fail', label: null, after_us: 1 } }), part({ id: 4 }), part({ id: 1 })];
    const merged = mergeLatest(known, news, 3);
    expect(merged.map((p) => p.id)).toEqual([4, 3, 2]);
    expect(merged[2]!.late_result).not.toBeNull();
  });
});

describe('stepsOf', () => {
  it('shows the waits between stages', () => {
    const steps = stepsOf({ total_us: 5_000, marks: [{ stage: 'infer', entered_us: 2_000, left_us: 4_900 }, { stage: 'quality', entered_us: 100, left_us: 1_000 }] });
    expect(steps.map((s) => [s.name, s.from_us, s.to_us])).toEqual([
      ['quality', 100, 1_000],
      ['waiting', 1_000, 2_000],
      ['infer', 2_000, 4_900],
    ]);
  });
  it('shows a late part that waited for nothing', () => {
    expect(stepsOf({ total_us: 500_000, marks: [] })).toEqual([{ name: 'waiting', from_us: 0, to_us: 500_000, waiting: true }]);
  });
});

describe('the made-up line', () => {
  it('obeys the law it is used to test', () => {
    const line = new MockLine();
    line.backfill(20);
    const { counts } = line.status();
    expect(counts.triggered).toBeGreaterThan(100);
    expect(unaccounted(counts)).toBe(0);
    expect(line.latest(24, null)).toHaveLength(24);
    expect(line.latest(24, 'fail').every((p) => p.verdict === 'fail' && p.heat !== null)).toBe(true);
  });
});
