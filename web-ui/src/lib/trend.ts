// The trend as columns for the charts: one slot a step, holes where the line reported nothing.

import type { Trend } from './api';

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

export function columnsOf(trend: Trend): TrendColumns {
  const step = trend.step_s > 0 ? trend.step_s : 1;
  const byTime = new Map(trend.points.map((p) => [Math.round(Date.parse(p.at) / 1000), p]));
  const out: TrendColumns = { at: [], decided: [], notPassed: [], p50: [], p99: [] };
  if (byTime.size === 0) return out;
  const times = [...byTime.keys()];
  const last = Math.max(...times);
  const first = Math.max(Math.min(...times), last - WINDOW_S);
  for (let at = first; at <= last; at += step) {
    const p = byTime.get(at);
    const decided = p ? p.pass + p.fail + p.review + p.no_decision : null;
    out.at.push(at);
    out.decided.push(decided === null ? null : decided / step);
    out.notPassed.push(p ? (p.fail + p.review + p.no_decision) / step : null);
    // A latency of a second without parts is not zero: it is unknown. (And a logarithmic axis has no zero.)
    out.p50.push(p && decided ? Math.max(p.p50_us, 1) / 1000 : null);
    out.p99.push(p && decided ? Math.max(p.p99_us, 1) / 1000 : null);
  }
  return out;
}

/** Sums of the window, for the yield "of the last ten minutes". */
export function totalsOf(trend: Trend) {
  const sum = { pass: 0, fail: 0, review: 0, no_decision: 0 };
  for (const p of trend.points) {
    sum.pass += p.pass;
    sum.fail += p.fail;
    sum.review += p.review;
    sum.no_decision += p.no_decision;
  }
  return sum;
}

/** The longest stretch without a trigger inside the window, seconds: what "quiet" normally means on this line. */
export function longestQuietS(trend: Trend): number {
  const busy = trend.points
    .filter((p) => p.triggered > 0)
    .map((p) => Date.parse(p.at) / 1000)
    .sort((a, b) => a - b);
  let longest = 0;
  for (let i = 1; i < busy.length; i++) longest = Math.max(longest, busy[i]! - busy[i - 1]! - trend.step_s);
  return longest;
}
