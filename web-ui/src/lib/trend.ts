// The trend as columns for the charts: one point for a few seconds, holes where the line reported nothing.

import type { Trend, TrendPoint } from './api';

export interface TrendColumns {
  /** Seconds since the epoch. */
  at: number[];
  /** Parts decided per second; null where nothing was reported. */
  decided: (number | null)[];
  /** Of those, the ones that did not pass. */
  notPassed: (number | null)[];
  /** Milliseconds; null where no part was decided. */
  p50: (number | null)[];
  p99: (number | null)[];
}

export const WINDOW_S = 600;
/** Seconds that one point of the chart covers: single seconds of a line at ten parts a second are mostly noise. */
export const BIN_S = 5;

/**
 * Rates are means over the bin. Percentiles of a bin cannot be had from those of its seconds, so the median is their mean
 * weighted by parts, and p99 is the worst second's: never better than the truth.
 */
export function columnsOf(trend: Trend): TrendColumns {
  const out: TrendColumns = { at: [], decided: [], notPassed: [], p50: [], p99: [] };
  const points = trend.points.map((p) => ({ ...p, second: Math.round(Date.parse(p.at) / 1000) })).sort((a, b) => a.second - b.second);
  // The newest step is still filling up: drawn, it would look like a line that slows down.
  const newest = points.pop()?.second;
  const first = points[0]?.second;
  if (newest === undefined || first === undefined) return out;
  const bins = new Map<number, TrendPoint[]>();
  for (const point of points) {
    const bin = Math.floor(point.second / BIN_S) * BIN_S;
    bins.set(bin, [...(bins.get(bin) ?? []), point]);
  }
  const start = Math.max(first, newest - WINDOW_S);
  for (let bin = Math.floor(start / BIN_S) * BIN_S; bin < newest; bin += BIN_S) {
    const seconds = Math.min(bin + BIN_S, newest) - Math.max(bin, start);
    if (seconds > 0) push(out, bin, bins.get(bin) ?? [], seconds);
  }
  return out;
}

function push(out: TrendColumns, at: number, points: TrendPoint[], seconds: number): void {
  const sum = totalsOf(points);
  const notPassed = sum.fail + sum.review + sum.no_decision;
  const decided = sum.pass + notPassed;
  out.at.push(at);
  out.decided.push(points.length ? decided / seconds : null);
  out.notPassed.push(points.length ? notPassed / seconds : null);
  const parts = (p: TrendPoint) => p.pass + p.fail + p.review + p.no_decision;
  const busy = points.filter((p) => parts(p) > 0);
  // A latency without parts is not zero: it is unknown. (And a logarithmic axis has no zero.)
  out.p50.push(decided ? Math.max(1, busy.reduce((a, p) => a + p.p50_us * parts(p), 0) / decided) / 1000 : null);
  out.p99.push(decided ? Math.max(1, ...busy.map((p) => p.p99_us)) / 1000 : null);
}

/** Sums of the window, for the yield "of the last ten minutes". */
export function totalsOf(points: readonly TrendPoint[]) {
  const sum = { pass: 0, fail: 0, review: 0, no_decision: 0 };
  for (const p of points) {
    sum.pass += p.pass;
    sum.fail += p.fail;
    sum.review += p.review;
    sum.no_decision += p.no_decision;
  }
  return sum;
}

/**
 * How long this line usually goes without a trigger, seconds: the 95th percentile of its pauses. Not the longest one: a single
 * stop must not teach the page that stops are normal.
 */
export function usualPauseS(trend: Trend): number {
  const busy = trend.points
    .filter((p) => p.triggered > 0)
    .map((p) => Date.parse(p.at) / 1000)
    .sort((a, b) => a - b);
  const pauses = busy.slice(1).map((at, i) => at - busy[i]! - trend.step_s);
  pauses.sort((a, b) => a - b);
  return Math.max(0, pauses[Math.floor(0.95 * (pauses.length - 1))] ?? 0);
}
