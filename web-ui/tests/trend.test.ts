import { describe, expect, it } from 'vitest';
import { columnsOf, totalsOf, usualPauseS } from '../src/lib/trend';
import { second } from './parts';

const trend = (points: ReturnType<typeof second>[]) => ({ step_s: 1, points });
const run = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => second(from + i));

describe('columnsOf', () => {
  it('gives means over five seconds, without the second that is still filling', () => {
    const { at, decided, notPassed } = columnsOf(trend([...run(1000, 1010), second(1010, { pass: 1, fail: 0 })]));
    expect(at).toEqual([1000, 1005]);
    expect(decided).toEqual([10, 10]);
    expect(notPassed).toEqual([1, 1]);
  });
  it('does not thin out bins that are only partly covered', () => {
    const { at, decided } = columnsOf(trend(run(1003, 1013)));
    expect(at).toEqual([1000, 1005, 1010]);
    expect(decided).toEqual([10, 10, 10]);
  });
  it('leaves a hole where the line said nothing', () => {
    const { decided, p50, p99 } = columnsOf(trend([...run(1000, 1005), ...run(1010, 1016)]));
    expect(decided).toEqual([10, null, 10]);
    expect(p50[1]).toBeNull();
    expect(p99[1]).toBeNull();
  });
  it('never shows a better p99 than the worst second, nor a latency without parts', () => {
    const points = run(1000, 1006);
    points[2] = second(1002, { p99_us: 480_000 });
    points[3] = second(1003, { pass: 0, fail: 0, p50_us: 0, p99_us: 0 });
    const { p50, p99 } = columnsOf(trend(points));
    expect(p99[0]).toBe(480);
    expect(p50[0]).toBe(20);
  });
  it('is empty before there is a whole second', () => {
    expect(columnsOf(trend([])).at).toEqual([]);
    expect(columnsOf(trend([second(1000)])).at).toEqual([]);
  });
});

it('sums the window', () => {
  expect(totalsOf(run(0, 10))).toEqual({ pass: 90, fail: 10, review: 0, no_decision: 0 });
});

describe('usualPauseS', () => {
  it('is 0 on a busy line, even after one long stop', () => {
    expect(usualPauseS(trend([...run(0, 100), ...run(400, 500)]))).toBe(0);
  });
  it('is the pause of a slow line', () => {
    expect(usualPauseS(trend([0, 30, 60, 90].map((at) => second(at))))).toBe(29);
  });
});
