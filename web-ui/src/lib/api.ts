// The HTTP contract of the daemon, version 1, as types, and the calls that read it.

export type Verdict = 'pass' | 'fail' | 'review' | 'no_decision';

export type Cause =
  | 'late'
  | 'overload'
  | 'no_frame'
  | 'truncated'
  | 'unreadable'
  | 'wrong_size'
  | 'blank'
  | 'saturated'
  | 'out_of_focus'
  | 'stage_failed'
  | 'safe_hold'
  | 'restart';

export type LineState = 'ready' | 'running' | 'safe_hold' | 'draining' | 'stopped';

export interface Counts {
  triggered: number;
  pass: number;
  fail: number;
  review: number;
  no_decision: number;
  in_flight: number;
}

/** Microseconds. */
export interface Latency {
  p50_us: number;
  p95_us: number;
  p99_us: number;
  max_us: number;
}

export interface StageLatency extends Latency {
  name: string;
}

export interface ModelLabel {
  name: string;
  /** What a score over the threshold means for the part. */
  verdict: Verdict;
  threshold: number;
}

export interface Model {
  name: string;
  /** SHA-256 of the graph, hexadecimal. */
  digest: string;
  provider: string;
  /** Providers that were wished for and did not load, with the reason. */
  fallbacks: { provider: string; reason: string }[];
  labels: ModelLabel[];
}

export interface LineStatus {
  line: string;
  state: LineState;
  state_reason: string | null;
  counts: Counts;
  latency: Latency;
  stages: StageLatency[];
  deadline_ms: number;
  /** Over the last 10 s. */
  parts_per_s: number;
  pictures_dropped: number;
  restarts: number;
  abandoned: number;
  late_results: number;
  recipe: string;
  source: { name: string; kind: string };
  model: Model;
  store: { state: 'ok' | 'rebuilding' | 'failed'; acknowledged: number; detail: string | null };
  started_at: string;
  version: string;
}

export interface LabelScore {
  label: string;
  /** Probability, 0 to 1. */
  score: number;
}

export interface Heat {
  label: string;
  /** Cells across. */
  width: number;
  /** Cells down. */
  height: number;
  /** Base64 of one byte a cell, row-major: the label's probability at the cell, 0 to 255. */
  cells: string;
}

export interface Mark {
  stage: string;
  /** Microseconds since the trigger. */
  entered_us: number;
  left_us: number;
}

export interface TrueDefect {
  label: string;
  /** Contrast-to-noise ratio. */
  cnr: number;
  /** Pixels: left, top, width, height. */
  bbox: [number, number, number, number];
}

export interface Inspection {
  id: number;
  line: string;
  camera: string;
  serial: string | null;
  origin: string | null;
  triggered_at: string;
  verdict: Verdict;
  cause: Cause | null;
  detail: string | null;
  label: string | null;
  found: LabelScore[];
  scores: LabelScore[];
  heat: Heat | null;
  recipe: string;
  model: string;
  provider: string | null;
  ledger: { total_us: number; marks: Mark[] };
  has_image: boolean;
  truth: { label: string; defects: TrueDefect[]; bad_frame: boolean } | null;
  late_result: { verdict: Verdict; label: string | null; after_us: number } | null;
}

export interface TrendPoint {
  at: string;
  triggered: number;
  pass: number;
  fail: number;
  review: number;
  no_decision: number;
  p50_us: number;
  p99_us: number;
}

export interface Trend {
  step_s: number;
  points: TrendPoint[];
}

export interface InspectionPage {
  items: Inspection[];
  next: number | null;
  rebuilding: boolean;
}

export const API = '/api/v1';

/** What the daemon answered when it refused (RFC 9457), or the plain status line. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** A hung daemon must not hang the page with it. */
const ANSWER_WITHIN_MS = 10_000;

async function read<T>(path: string): Promise<T> {
  const response = await fetch(API + path, {
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (!response.ok) throw await refusal(response);
  return (await response.json()) as T;
}

async function refusal(response: Response): Promise<ApiError> {
  let words = `${response.status} ${response.statusText}`;
  if (response.headers.get('content-type')?.startsWith('application/problem+json')) {
    const problem = (await response.json()) as { title?: string; detail?: string };
    words = problem.detail ?? problem.title ?? words;
  }
  return new ApiError(response.status, words);
}

export const readLine = () => read<LineStatus>('/line');
export const readTrend = () => read<Trend>('/line/trend');
export const readInspection = (id: number) => read<Inspection>(`/inspections/${id}`);

export function readInspections(limit: number, verdict?: Verdict): Promise<InspectionPage> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (verdict) query.set('verdict', verdict);
  return read<InspectionPage>(`/inspections?${query}`);
}

export const imageUrl = (id: number) => `${API}/inspections/${id}/image`;
