// Records for the tests, as the daemon would send them.

import type { Inspection, LineStatus, TrendPoint } from '../src/lib/api';
import { MockLine } from '../mock/line';

export function part(change: Partial<Inspection> = {}): Inspection {
  return {
    id: 1,
    line: 'demo',
    camera: 'top',
    serial: 'S000001',
    lot: null,
    origin: null,
    triggered_at: '2026-01-01T00:00:00Z',
    verdict: 'pass',
    cause: null,
    detail: null,
    label: 'good',
    found: [],
    scores: [{ label: 'good', score: 0.98 }],
    heat: null,
    regions: [],
    views: [],
    recipe: 'demo@1',
    model: 'ab',
    provider: 'cpu',
    ledger: { total_us: 30_000, marks: [] },
    has_image: true,
    conditions: [],
    truth: null,
    late_result: null,
    ...change,
  };
}

/** A heat map of `width` x `height` cells, cold but for the given ones. */
export function heat(width: number, height: number, hot: Record<number, number>, label = 'scratch') {
  const cells = Buffer.alloc(width * height);
  for (const [cell, value] of Object.entries(hot)) cells[Number(cell)] = value;
  return { label, width, height, cells: cells.toString('base64') };
}

export function status(change: Partial<LineStatus> = {}): LineStatus {
  return { ...new MockLine(() => 0.5, () => 0).status(), ...change };
}

export function second(at: number, change: Partial<TrendPoint> = {}): TrendPoint {
  const base = { triggered: 10, pass: 9, fail: 1, review: 0, no_decision: 0, p50_us: 20_000, p99_us: 40_000 };
  return { at: new Date(at * 1000).toISOString(), ...base, ...change };
}
