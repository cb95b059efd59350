// The made-up line's record: the parts that it still has, filtered and counted as the daemon would.

import type { ServerResponse } from 'node:http';
import type { Inspection } from '../src/lib/api';
import type { Quality } from '../src/lib/quality';
import { decodeHeat, peakOf } from '../src/lib/heat.ts';
import { json } from './answers.ts';
import type { MockLine } from './line.ts';

const SIDE = 16;
/** The made-up line remembers minutes, not days: a point is one of these. */
const POINT_MS = 60_000;

export class MockRecords {
  constructor(private readonly line: MockLine) {}

  /** Whether the path was one of the record's. */
  answer(path: string, query: URLSearchParams, res: ServerResponse): boolean {
    if (path === '/inspections') this.#page(query, res);
    else if (path === '/inspections/count') json(res, { parts: this.#matching(query).length, rebuilding: false });
    else if (path === '/inspections/known') json(res, { labels: ['good', 'scratch', 'pit', 'stain'], recipes: ['demo@1'], models: [], cameras: ['synthetic'], regions: [], lots: [] });
    else if (path === '/export') res.writeHead(200, { 'content-type': 'text/csv', 'content-disposition': 'attachment; filename="demo.csv"' }).end(this.#table(query));
    else if (path.startsWith('/exports/')) json(res, { state: 'done', done: this.line.parts.length, of: this.line.parts.length, reason: null });
    else if (path === '/quality') json(res, qualityOf(this.#matching(query), query));
    else return false;
    return true;
  }

  #matching(query: URLSearchParams): Inspection[] {
    const is = (name: string, value: string | null) => !query.get(name) || query.get(name) === value;
    const [from, to] = [query.get('from'), query.get('to')];
    return [...this.line.parts]
      .filter((part) => is('verdict', part.verdict) && is('label', part.label) && is('serial', part.serial) && is('lot', part.lot))
      .filter((part) => (!from || part.triggered_at >= from) && (!to || part.triggered_at < to))
      .sort((a, b) => b.id - a.id);
  }

  #page(query: URLSearchParams, res: ServerResponse): void {
    const before = Number(query.get('before') ?? Infinity);
    const limit = Number(query.get('limit') ?? 24);
    const rest = this.#matching(query).filter((part) => part.id < before);
    json(res, { items: rest.slice(0, limit), next: rest.length > limit ? rest[limit - 1]!.id : null, rebuilding: false });
  }

  #table(query: URLSearchParams): string {
    const rows = this.#matching(query).map((part) => [part.id, part.serial, part.verdict, part.label ?? ''].join(','));
    return ['id,serial,verdict,label', ...rows].join('\n');
  }
}

function totalsOf(parts: Inspection[]): Quality['totals'] {
  const count = (verdict: Inspection['verdict']) => parts.filter((part) => part.verdict === verdict).length;
  const pass = count('pass');
  const share = parts.length ? pass / parts.length : 0;
  const range = 2 * Math.sqrt((share * (1 - share)) / Math.max(1, parts.length));
  return { parts: parts.length, pass, fail: count('fail'), review: count('review'), no_decision: count('no_decision'), yield: parts.length ? { seen: pass, of: parts.length, share, low: Math.max(0, share - range), high: Math.min(1, share + range) } : null };
}

function qualityOf(parts: Inspection[], query: URLSearchParams): Quality {
  const totals = totalsOf(parts);
  const mean = parts.length ? 1 - totals.pass / parts.length : null;
  const groups = new Map<number, Inspection[]>();
  for (const part of parts) {
    const at = Math.floor(Date.parse(part.triggered_at) / POINT_MS);
    groups.set(at, [...(groups.get(at) ?? []), part]);
  }
  const points = [...groups].sort(([a], [b]) => a - b).map(([at, of]) => {
    const rejects = of.filter((part) => part.verdict !== 'pass').length;
    const share = rejects / of.length;
    const three = 3 * Math.sqrt(((mean ?? 0) * (1 - (mean ?? 0))) / of.length);
    const [low, high] = [Math.max(0, (mean ?? 0) - three), Math.min(1, (mean ?? 0) + three)];
    return { from: new Date(at * POINT_MS).toISOString(), to: new Date((at + 1) * POINT_MS).toISOString(), parts: of.length, rejects, share, low, high, rules: share > high ? [1] : [] };
  });
  const wrong = new Map<string, number>();
  const cells = new Map<string, number[]>();
  for (const part of parts.filter((it) => it.verdict !== 'pass')) {
    const name = part.cause ?? part.label ?? '';
    wrong.set(name, (wrong.get(name) ?? 0) + 1);
    const grid = part.heat && decodeHeat(part.heat);
    const peak = grid && peakOf(grid);
    const of = cells.get(name) ?? new Array<number>(SIDE * SIDE).fill(0);
    if (peak) of[Math.floor(peak.y * SIDE) * SIDE + Math.floor(peak.x * SIDE)]! += 1;
    if (peak) cells.set(name, of);
  }
  const [from, to] = points.length ? [points[0]!.from, points[points.length - 1]!.to] : [query.get('from')!, query.get('to')!];
  return {
    from,
    to,
    time_zone: 'UTC',
    totals,
    chart: { each: 'hour', mean, points },
    change: null,
    wrong: [...wrong].sort(([, a], [, b]) => b - a).map(([name, n]) => ({ kind: parts.some((part) => part.cause === name) ? ('cause' as const) : ('label' as const), name, parts: n, beside: null })),
    places: { side: SIDE, labels: [...cells].map(([label, of]) => ({ label, cells: of })) },
    groups: [{ name: 'early', date: from.slice(0, 10), from, to, totals }],
    audit: { parts: 0, escapes: null, overkill: null },
    beside: null,
    shifts: ['early', 'late', 'night'],
    rebuilding: false,
    records_since: null,
  };
}
