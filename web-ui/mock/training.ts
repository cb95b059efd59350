// Made-up models and training jobs. A job lives by the clock: its curve is drawn as far as it has come.

import type { Inspection, Verdict } from '../src/lib/api';
import type { CurvePoint, Gate, GateRate, GateSet, Job, JobDetail, Model, Models } from '../src/lib/learning';
import { MODEL_DIGEST } from './line.ts';
import { noise } from './picture.ts';

const LABELS = ['good', 'scratch', 'pit', 'crack', 'stain', 'inclusion', 'dent', 'edge_chip', 'discolouration', 'contamination'];
const HOUR = 3_600_000;
const JOB_MS = 240_000;
const EPOCHS = 60;

const digest = (seed: number) => Array.from({ length: 64 }, (_, i) => Math.floor(16 * noise(seed, i)).toString(16)).join('');

const TOO_MUCH = 'the worker was ended by the system: it asked for 6.2 GiB and `train.memory_gib` allows 4; lower `train.batch` or raise the ceiling';

type Held = { job: Job; ranMs: number; since: number | null; log: string[] };

export class MockTraining {
  #models: Model[];
  #jobs: Held[] = [];
  #champion = MODEL_DIGEST;
  #previous: string | null = digest(1);

  constructor(
    private readonly flipped: () => Inspection[],
    private readonly changed: () => void,
  ) {
    const made = (hours: number) => new Date(Date.now() - hours * HOUR).toISOString();
    const base = { name: 'surface-defects', labels: LABELS, gate: null, promotions: [], parts: 0 };
    this.#models = [
      { ...base, digest: digest(4), made_at: made(3), made_by: 'training job 6', parent: MODEL_DIGEST, dataset: digest(24), state: 'candidate', gate: this.#gate(true) },
      { ...base, digest: digest(3), made_at: made(28), made_by: 'training job 5', parent: MODEL_DIGEST, dataset: digest(23), state: 'candidate', gate: this.#gate(false) },
      {
        ...base, digest: MODEL_DIGEST, made_at: made(80), made_by: 'training job 3', parent: digest(1), dataset: digest(22), state: 'champion', parts: 128_440, gate: this.#gate(true),
        promotions: [{ at: made(76), by: 'kerstin', reason: null, forced: false, ended: null }],
      },
      {
        ...base, digest: digest(1), made_at: made(500), made_by: 'recipe', parent: null, dataset: null, state: 'previous', parts: 904_112,
        promotions: [{ at: made(490), by: 'kerstin', reason: 'first model of this line', forced: true, ended: { at: made(76), by: 'kerstin', why: 'surface-defects from training job 3 was promoted' } }],
      },
      {
        ...base, digest: digest(2), made_at: made(200), made_by: 'few-shot kind `burr`', parent: digest(1), dataset: digest(21), state: 'retired', labels: [...LABELS, 'burr'], parts: 2_310,
        promotions: [{ at: made(190), by: 'anna', reason: 'burr since the new tool', forced: true, ended: { at: made(188), by: 'kerstin', why: 'rolled back: too much overkill on cast parts' } }],
      },
    ];
    this.#jobs = [
      this.#job(6, 'done', '200 new labels', 'schedule', 3.2, { candidate: digest(4), gate: this.#gate(true) }),
      this.#job(5, 'done', 'by hand', 'kerstin', 28.5, { candidate: digest(3), gate: this.#gate(false) }),
      this.#job(4, 'failed', '200 new labels', 'schedule', 52, { reason: TOO_MUCH }),
      this.#job(3, 'done', 'by hand', 'kerstin', 80.5, { candidate: MODEL_DIGEST, gate: this.#gate(true) }),
    ];
  }

  models(): Models {
    const state = (m: Model): Model['state'] => (m.digest === this.#champion ? 'champion' : m.digest === this.#previous ? 'previous' : m.state === 'candidate' ? 'candidate' : 'retired');
    return { champion: this.#champion, previous: this.#previous, models: this.#models.map((m) => ({ ...m, state: state(m) })) };
  }

  model(digest: string): Model | null {
    return this.models().models.find((m) => m.digest === digest) ?? null;
  }

  /** What was wrong, or null. */
  promote(digest: string, reason: string | null, by: string): string | null {
    const model = this.#models.find((m) => m.digest === digest);
    if (!model) return `no model ${digest}`;
    if (!model.gate?.passed && !reason) return 'the gate has not passed for this model: give a reason to promote it all the same';
    this.#end(by, `${model.name} from ${model.made_by} was promoted`);
    model.promotions = [...model.promotions, { at: new Date().toISOString(), by, reason, forced: !model.gate?.passed, ended: null }];
    this.#previous = this.#champion;
    this.#champion = digest;
    this.changed();
    return null;
  }

  rollBack(reason: string, by: string): string | null {
    if (!this.#previous) return 'there is no model before this one';
    this.#end(by, `rolled back: ${reason}`);
    [this.#champion, this.#previous] = [this.#previous, this.#champion];
    const model = this.#models.find((m) => m.digest === this.#champion)!;
    model.promotions = [...model.promotions, { at: new Date().toISOString(), by, reason, forced: false, ended: null }];
    this.changed();
    return null;
  }

  jobs(): Job[] {
    return this.#jobs.map((held) => this.#now(held));
  }

  job(id: number): JobDetail | null {
    const held = this.#jobs.find((held) => held.job.id === id);
    if (!held) return null;
    const job = this.#now(held);
    const ran = this.#ran(held);
    const curve = Array.from({ length: Math.floor((ran / JOB_MS) * EPOCHS) }, (_, epoch) => point(id, epoch));
    return { ...job, curve, log: [...held.log, ...curve.slice(-12).map((p) => `epoch ${p.epoch} (${p.stage}): loss ${p.loss.toFixed(3)}, accuracy ${p.accuracy.toFixed(3)}`), ...(job.reason ? [`error: ${job.reason}`] : [])] };
  }

  start(by: string, share = 0): Job {
    const id = Math.max(0, ...this.#jobs.map((held) => held.job.id)) + 1;
    const busy = this.#jobs.some(({ job }) => ['running', 'paused', 'judging'].includes(this.#now({ job, ranMs: 0, since: null, log: [] }).state));
    const held = this.#job(id, busy ? 'waiting' : 'running', 'by hand', by, 0, {});
    held.ranMs = share * JOB_MS;
    held.since = busy ? null : Date.now();
    this.#jobs = [held, ...this.#jobs];
    this.changed();
    return this.#now(held);
  }

  /** The newest one has failed. */
  fail(): void {
    const id = Math.max(0, ...this.#jobs.map((held) => held.job.id)) + 1;
    this.#jobs = [this.#job(id, 'failed', '200 new labels', 'schedule', 0.1, { reason: TOO_MUCH }), ...this.#jobs];
    this.changed();
  }

  tell(id: number, what: string): Job | null {
    const held = this.#jobs.find((held) => held.job.id === id);
    if (!held) return null;
    if (what === 'pause' || what === 'cancel') {
      held.ranMs = this.#ran(held);
      held.since = null;
    } else held.since = Date.now();
    held.job.state = what === 'pause' ? 'paused' : what === 'cancel' ? 'cancelled' : 'running';
    if (what === 'cancel') held.job.ended_at = new Date().toISOString();
    this.changed();
    return this.#now(held);
  }

  remove(id: number): boolean {
    const before = this.#jobs.length;
    this.#jobs = this.#jobs.filter((held) => held.job.id !== id);
    this.changed();
    return this.#jobs.length < before;
  }

  #end(by: string, why: string): void {
    const model = this.#models.find((m) => m.digest === this.#champion);
    const last = model?.promotions.at(-1);
    if (last) last.ended = { at: new Date().toISOString(), by, why };
  }

  #job(id: number, state: Job['state'], why: string, by: string, hoursAgo: number, more: Partial<Job>): Held {
    const at = Date.now() - hoursAgo * HOUR;
    const ended = state === 'done' || state === 'failed';
    const ranMs = state === 'failed' ? 0.32 * JOB_MS : ended ? JOB_MS : 0;
    const job: Job = {
      id, state, why, by,
      created_at: new Date(at).toISOString(),
      started_at: state === 'waiting' ? null : new Date(at + 2_000).toISOString(),
      ended_at: ended ? new Date(at + ranMs).toISOString() : null,
      reason: null,
      dataset: {
        digest: digest(20 + id), images: 1180 + 40 * id, labelled: 160 + 30 * id, held_out: 60, golden: 379,
        labels: LABELS.map((name, i) => ({ name, count: name === 'good' ? 96 + id : Math.round(6 + 30 * noise(i, id)) })),
      },
      progress: null, candidate: null, gate: null,
      line_p99_us: { before: 31_800, during: state === 'waiting' ? null : 32_900 },
      ...more,
    };
    return { job, ranMs, since: null, log: ['reading 1,240 images', 'trunk: surface-defects@3, 28 layers; 60 images held out, 379 golden', 'threads: 1, at idle priority; memory ceiling 4 GiB'] };
  }

  #ran(held: Held): number {
    return Math.min(JOB_MS, held.ranMs + (held.since === null ? 0 : Date.now() - held.since));
  }

  #now(held: Held): Job {
    const ran = this.#ran(held);
    if (held.job.state === 'running' && ran >= JOB_MS) {
      held.job = { ...held.job, state: 'done', ended_at: new Date().toISOString() };
      held.since = null;
    }
    if (!['running', 'paused'].includes(held.job.state)) return held.job;
    const done = ran / JOB_MS;
    const last = point(held.job.id, Math.max(0, Math.floor(done * EPOCHS) - 1));
    return { ...held.job, progress: { stage: last.stage, done, epoch: last.epoch, loss: last.loss, accuracy: last.accuracy, eta_s: (JOB_MS - ran) / 1000 } };
  }

  #gate(passed: boolean): Gate {
    const parts = this.flipped();
    const verdicts: [Verdict, Verdict][] = passed ? [['pass', 'fail'], ['fail', 'pass'], ['review', 'fail']] : [['fail', 'pass'], ['fail', 'pass'], ['fail', 'review'], ['pass', 'fail'], ['pass', 'review']];
    const flips = verdicts.flatMap(([champion, candidate], i) => {
      const part = parts[(i * 3) % Math.max(1, parts.length)];
      return part ? [{ path_or_id: String(part.id), truth: part.truth?.label ?? 'good', champion, candidate, image: i === 3 ? null : `/api/v1/inspections/${part.id}/image` }] : [];
    });
    return { passed, flips, ...(passed ? PASSED : NOT_PASSED) };
  }
}

const rate = (champion: number, candidate: number, lost: number, won: number, margin: number, p: number, non_inferior: boolean, missing: number | null = null): GateRate => ({ champion, candidate, lost, won, margin, p, non_inferior, missing });

const classes = (regressed: Record<string, [number, number, number]>): GateSet['classes'] =>
  ['scratch', 'pit', 'crack', 'stain', 'dent', 'edge_chip'].map((name, i) => {
    const [n, champion_right, candidate_right] = regressed[name] ?? [16 + i, 15 + i, 15 + i];
    return { name, n, champion_right, candidate_right, regressed: name in regressed };
  });

const PASSED: Pick<Gate, 'sets' | 'words'> = {
  sets: [
    { name: 'golden', n_good: 259, n_bad: 120, escapes: rate(4, 2, 0, 2, 0.02, 0.0008, true), overkill: rate(5, 4, 1, 2, 0.02, 0.004, true), classes: classes({}) },
    { name: 'newest', n_good: 41, n_bad: 19, escapes: rate(2, 0, 0, 2, 0.05, 0.021, true), overkill: rate(1, 1, 0, 0, 0.05, 0.018, true), classes: [] },
    { name: 'shadow', n_good: 2310, n_bad: 64, escapes: rate(3, 2, 1, 2, 0.02, 0.031, true), overkill: rate(22, 17, 3, 8, 0.01, 0.00002, true), classes: [] },
  ],
  words: ['non-inferior on escapes and overkill in every set', 'no class regressed'],
};

const NOT_PASSED: Pick<Gate, 'sets' | 'words'> = {
  sets: [
    { name: 'golden', n_good: 259, n_bad: 120, escapes: rate(4, 9, 6, 1, 0.02, 0.62, false), overkill: rate(5, 3, 0, 2, 0.02, 0.003, true), classes: classes({ scratch: [24, 23, 19], crack: [17, 17, 15] }) },
    { name: 'newest', n_good: 41, n_bad: 11, escapes: rate(1, 1, 0, 0, 0.05, 0.31, false, 84), overkill: rate(1, 0, 0, 1, 0.05, 0.019, true), classes: [] },
  ],
  words: ['inferior on escapes in the golden set: 9 of 120 bad parts pass, the champion lets 4 pass', 'newest labels: too few bad parts to tell about escapes', 'classes that lost: scratch, crack'],
};

function point(seed: number, epoch: number): CurvePoint {
  const t = epoch / EPOCHS;
  const wobble = (k: number) => (noise(seed * 31 + k, epoch) - 0.5) * 0.03;
  const accuracy = 0.965 - 0.62 * Math.exp(-5.5 * t) + wobble(1) * (1 - t);
  return {
    at_s: ((epoch + 1) * JOB_MS) / EPOCHS / 1000,
    stage: t < 0.35 ? 'head' : 'all_layers',
    epoch: epoch + 1,
    loss: 0.12 + 1.6 * Math.exp(-5 * t) + wobble(2),
    accuracy,
    selection_accuracy: epoch % 3 === 2 ? accuracy - 0.025 + wobble(3) : null,
    selection_loss: null,
  };
}
