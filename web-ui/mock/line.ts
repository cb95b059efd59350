// A line that exists only for building the page: it follows the contract, obeys the law, and can be put in any state.

import type { Alert, Cause, Counts, Inspection, LineStatus, ModelLabel, Trend, TrendPoint, Verdict } from '../src/lib/api';

export const LABELS: ModelLabel[] = [
  { name: 'good', verdict: 'pass', threshold: 0.5 },
  ...['scratch', 'pit', 'crack', 'stain', 'inclusion', 'dent', 'edge_chip'].map((name) => ({ name, verdict: 'fail' as const, threshold: 0.5 })),
  { name: 'discolouration', verdict: 'review', threshold: 0.6 },
  { name: 'contamination', verdict: 'review', threshold: 0.6 },
];

export interface Scenario {
  state: LineStatus['state'];
  state_reason: string | null;
  /** Parts per second. */
  rate: number;
  /** Every part ends so; null for the usual mix. */
  only: Verdict | null;
  gpu: boolean;
  store: LineStatus['store']['state'];
  /** Two cameras see the part. */
  views: boolean;
  /** The server refuses every request, as a daemon that is gone. */
  down: boolean;
}

export const USUAL: Scenario = { state: 'running', state_reason: null, rate: 8, only: null, gpu: false, store: 'ok', views: false, down: false };

/** The made-up picture as two cameras would have it. */
const VIEWS = [
  { name: 'top', area: [0, 0, 300, 512] },
  { name: 'side', area: [300, 0, 212, 512] },
] satisfies Inspection['views'];

const STAGES: [string, number][] = [
  ['capture', 900],
  ['quality', 1600],
  ['preprocess', 3100],
  ['infer', 21500],
  ['decide', 120],
];
const KEEP = 500;
const DEADLINE_MS = 500;
export const MODEL_DIGEST = '5e3c9a1f7b2d4c6e8a0f1b3d5c7e9f2a4b6d8c0e1f3a5b7d9c2e4f6a8b0d1c3e';

export class MockLine {
  scenario: Scenario = { ...USUAL };
  parts: Inspection[] = [];
  alerts: Alert[] = [];
  #counts: Counts = { triggered: 0, pass: 0, fail: 0, review: 0, no_decision: 0, in_flight: 0 };
  #trend = new Map<number, TrendPoint>();
  #startedAt = new Date();
  #owed = 0;

  constructor(
    private readonly random: () => number = Math.random,
    private readonly now: () => number = Date.now,
  ) {}

  /** Lets `seconds` pass; returns the parts that were decided in them. */
  tick(seconds: number): Inspection[] {
    if (this.scenario.state !== 'running' && this.scenario.state !== 'safe_hold') return [];
    this.#owed += seconds * this.scenario.rate;
    const out: Inspection[] = [];
    for (; this.#owed >= 1; this.#owed -= 1) out.push(this.#decide(this.now()));
    return out;
  }

  /** Ten minutes that have already been, so that the charts start full. */
  backfill(seconds: number): void {
    for (let s = seconds; s > 0; s--) {
      const parts = this.scenario.rate * (0.85 + 0.3 * this.random());
      for (let i = 0; i < parts; i++) this.#decide(this.now() - s * 1000 + (i * 1000) / parts);
    }
    this.#startedAt = new Date(this.now() - seconds * 1000);
  }

  /** A line that has just been started for the first time. */
  clear(): void {
    this.parts = [];
    this.#counts = { triggered: 0, pass: 0, fail: 0, review: 0, no_decision: 0, in_flight: 0 };
    this.#trend.clear();
    this.#startedAt = new Date(this.now());
  }

  status(): LineStatus {
    const s = this.scenario;
    const inFlight = s.state === 'running' && this.parts.length ? 2 : 0;
    const latency = this.#latency(DEADLINE_MS);
    return {
      line: 'demo',
      identity: { from: 'source', read: 0, unread: 0, repeated: 0, gaps: 0, missing: 0, late: 0, waiting: 0 },
      state: s.state,
      state_reason: s.state_reason,
      counts: { ...this.#counts, triggered: this.#counts.triggered + inFlight, in_flight: inFlight },
      latency,
      stages: STAGES.map(([name, us]) => ({ name, p50_us: us, p95_us: us * 1.3, p99_us: us * 1.6, max_us: us * 4 })),
      deadline_ms: DEADLINE_MS,
      parts_per_s: s.state === 'running' ? s.rate : 0,
      pictures_dropped: 0,
      restarts: s.state === 'safe_hold' ? 5 : 0,
      abandoned: 0,
      late_results: this.parts.filter((p) => p.late_result).length,
      recipe: 'demo@1',
      source: { name: 'synthetic', kind: 'synthetic' },
      model: {
        name: 'surface-defects',
        digest: MODEL_DIGEST,
        provider: s.gpu ? 'tensorrt' : 'cpu',
        fallbacks: s.gpu ? [] : [{ provider: 'tensorrt', reason: 'libnvinfer.so.10: cannot open shared object file' }, { provider: 'cuda', reason: 'no CUDA device' }],
        labels: LABELS,
      },
      store: {
        state: s.store,
        acknowledged: this.#counts.triggered,
        detail: s.store === 'failed' ? 'journal: input/output error on sync; free or replace the disk, then restart' : null,
      },
      started_at: this.#startedAt.toISOString(),
      version: '0.1.0',
    };
  }

  trend(): Trend {
    const since = Math.floor(this.now() / 1000) - 600;
    const points = [...this.#trend.entries()].filter(([at]) => at >= since).sort(([a], [b]) => a - b);
    return { step_s: 1, points: points.map(([, point]) => point) };
  }

  /** Newest first. */
  latest(limit: number, verdict: string | null): Inspection[] {
    const all = verdict ? this.parts.filter((p) => p.verdict === verdict) : this.parts;
    return all.slice(-limit).reverse();
  }

  #decide(at: number): Inspection {
    const id = ++this.#counts.triggered;
    const part = this.#inspect(id, at, this.#draw());
    this.#counts[part.verdict] += 1;
    this.parts.push(part);
    if (this.parts.length > KEEP) this.parts.shift();
    this.#note(part, at);
    return part;
  }

  #draw(): { verdict: Verdict; label: string; cause: Cause | null } {
    const forced = this.scenario.state === 'safe_hold' ? 'no_decision' : this.scenario.only;
    const dice = this.random();
    const verdict = forced ?? (dice < 0.92 ? 'pass' : dice < 0.975 ? 'fail' : dice < 0.993 ? 'review' : 'no_decision');
    const pick = <T>(from: readonly T[]) => from[Math.floor(this.random() * from.length)]!;
    const label = verdict === 'pass' ? 'good' : pick(LABELS.filter((l) => l.verdict === (verdict === 'review' ? 'review' : 'fail'))).name;
    const cause = this.scenario.state === 'safe_hold' ? 'safe_hold' : pick(['blank', 'out_of_focus', 'late'] as const);
    return { verdict, label, cause: verdict === 'no_decision' ? cause : null };
  }

  #inspect(id: number, at: number, { verdict, label, cause }: { verdict: Verdict; label: string; cause: Cause | null }): Inspection {
    const defective = verdict === 'fail' || verdict === 'review';
    const width = 60 + 120 * this.random();
    const height = 40 + 120 * this.random();
    const bbox: [number, number, number, number] = [this.random() * (500 - width), this.random() * (500 - height), width, height];
    const top = 0.72 + 0.27 * this.random();
    const scores = LABELS.map((l) => ({ label: l.name, score: l.name === label && verdict !== 'no_decision' ? top : ((1 - top) / 9) * (0.4 + this.random()) }));
    const found = defective ? scores.filter((s) => s.label === label) : [];
    const marks = this.#marks(verdict === 'no_decision' ? (cause === 'late' ? 3 : cause === 'safe_hold' ? 0 : 2) : STAGES.length);
    return {
      id,
      line: 'demo',
      camera: 'synthetic',
      serial: `S${String(id).padStart(6, '0')}`,
      lot: null,
      origin: null,
      triggered_at: new Date(at).toISOString(),
      verdict,
      cause,
      detail: cause === 'out_of_focus' ? 'sharpness 3.1 is under the limit of 12' : cause === 'late' ? 'no result within 500 ms' : null,
      label: verdict === 'no_decision' ? null : label,
      found,
      scores: verdict === 'no_decision' ? [] : scores,
      heat: defective ? heatOf(label, bbox, top) : null,
      regions: [],
      views: this.scenario.views ? VIEWS : [],
      recipe: 'demo@1',
      model: MODEL_DIGEST,
      provider: verdict === 'no_decision' ? null : this.scenario.gpu ? 'tensorrt' : 'cpu',
      ledger: { total_us: cause === 'late' ? DEADLINE_MS * 1000 : (marks.at(-1)?.left_us ?? 40) + 35, marks },
      has_image: cause !== 'safe_hold',
      conditions: [],
      truth: { label: defective ? label : 'good', defects: defective ? [{ label, cnr: 2 + 6 * this.random(), bbox }] : [], bad_frame: cause === 'blank' },
      late_result: cause === 'late' ? { verdict: 'pass', label: 'good', after_us: 731_000 } : null,
    };
  }

  #marks(stages: number) {
    let at = 20 + Math.floor(this.random() * 60);
    return STAGES.slice(0, stages).map(([stage, us]) => {
      const entered_us = at;
      const left_us = entered_us + Math.floor(us * (0.8 + 0.5 * this.random()));
      at = left_us + 30 + Math.floor(this.random() * 400);
      return { stage, entered_us, left_us };
    });
  }

  #note(part: Inspection, at: number): void {
    const second = Math.floor(at / 1000);
    const empty = { at: new Date(second * 1000).toISOString(), triggered: 0, pass: 0, fail: 0, review: 0, no_decision: 0, p50_us: 0, p99_us: 0 };
    const point = this.#trend.get(second) ?? empty;
    point.triggered += 1;
    point[part.verdict] += 1;
    point.p50_us = part.ledger.total_us;
    point.p99_us = Math.max(point.p99_us, part.ledger.total_us);
    this.#trend.set(second, point);
    this.#trend.delete(second - 700);
  }

  #latency(deadlineMs: number) {
    const all = this.parts.map((p) => Math.min(p.ledger.total_us, deadlineMs * 1000)).sort((a, b) => a - b);
    const at = (q: number) => all[Math.min(all.length - 1, Math.floor(q * all.length))] ?? 0;
    return { p50_us: at(0.5), p95_us: at(0.95), p99_us: at(0.99), max_us: all.at(-1) ?? 0 };
  }
}

function heatOf(label: string, [left, top, width, height]: [number, number, number, number], peak: number) {
  const n = 16;
  const cells = new Uint8Array(n * n);
  for (let y = 0; y < n; y++) {
    for (let x = 0; x < n; x++) {
      const dx = ((x + 0.5) * 32 - (left + width / 2)) / (width * 0.5);
      const dy = ((y + 0.5) * 32 - (top + height / 2)) / (height * 0.5);
      cells[y * n + x] = Math.round(255 * peak * Math.exp(-(dx * dx + dy * dy)));
    }
  }
  return { label, width: n, height: n, cells: Buffer.from(cells).toString('base64') };
}
