// Made-up models and training jobs. A job lives by the clock: its curve is drawn as far as it has come.

import type { Inspection, Verdict } from '../src/lib/api';
import type { CurvePoint, Flip, Gate, GateRate, GateSet, Job, JobDetail, Model, Models, Promotion } from '../src/lib/learning';
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
    const base = { name: 'surface-defects', labels: LABELS, gate: null, removed_at: null, promotions: [] };
    this.#models = [
      { ...base, digest: digest(4), made_at: made(3), made_by: 'training job 6', parent: MODEL_DIGEST, dataset: digest(24), state: 'candidate', gate: this.#gate(true) },
      { ...base, digest: digest(3), made_at: made(28), made_by: 'training job 5', parent: MODEL_DIGEST, dataset: digest(23), state: 'candidate', gate: this.#gate(false) },
      {
        ...base, digest: MODEL_DIGEST, made_at: made(80), made_by: 'training job 3', parent: digest(1), dataset: digest(22), state: 'champion', gate: this.#gate(true),
        promotions: [{ at: made(76), by: 'kerstin', reason: null, forced: false, ended: null }],
      },
      {
        ...base, digest: digest(1), made_at: made(500), made_by: 'the recipe\'s own', parent: null, dataset: null, state: 'previous',
        promotions: [{ at: made(490), by: 'kerstin', reason: 'first model of this line', forced: true, ended: { at: made(76), by: 'kerstin', why: 'surface-defects from training job 3 was promoted' } }],
      },
      {
        ...base, digest: digest(2), made_at: made(200), made_by: 'kind `burr` from 3 labelled parts', parent: digest(1), dataset: digest(21), state: 'retired', labels: [...LABELS, 'burr'],
        promotions: [{ at: made(190), by: 'anna', reason: 'burr since the new tool', forced: true, ended: { at: made(188), by: 'kerstin', why: 'rolled back: too much overkill on cast parts' } }],
      },
    ];
    this.#jobs = [
      this.#job(6, 'done', '200 new labels', 'program', 3.2, { candidate: digest(4), gate: this.#gate(true) }),
      this.#job(5, 'done', 'by hand', 'kerstin', 28.5, { candidate: digest(3), gate: this.#gate(false) }),
      this.#job(4, 'failed', '200 new labels', 'program', 52, { reason: TOO_MUCH }),
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

  /** The one that is in force. */
  promotion(): Promotion {
    return this.#models.find((m) => m.digest === this.#champion)!.promotions.at(-1)!;
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
    return { ...job, curve, log: [...held.log, ...curve.filter((p) => p.stage !== 'features').slice(-12).map((p) => `epoch ${p.epoch} (${p.stage}): loss ${p.loss.toFixed(3)}, accuracy ${p.accuracy.toFixed(3)}`), ...(job.reason ? [`error: ${job.reason}`] : [])] };
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
    this.#jobs = [this.#job(id, 'failed', '200 new labels', 'program', 0.1, { reason: TOO_MUCH }), ...this.#jobs];
    this.changed();
  }

  tell(id: number, what: string): Job | null {
    const held = this.#jobs.find((held) => held.job.id === id);
    if (!held) return null;
    if (what === 'judge') return this.#now(held);
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
      dataset: state === 'waiting' ? null : {
        digest: digest(20 + id), images: 1180 + 40 * id, labelled: 160 + 30 * id, held_out: 60, golden: 379, gone: id % 2 ? 3 : 0,
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
    return { ...held.job, progress: progressOf(done, last) };
  }

  #gate(passed: boolean): Gate {
    const parts = this.flipped();
    const verdicts: [Verdict, Verdict][] = passed ? [['pass', 'fail'], ['fail', 'pass'], ['review', 'fail']] : [['fail', 'pass'], ['fail', 'pass'], ['fail', 'review'], ['pass', 'fail'], ['pass', 'review']];
    const flips = verdicts.flatMap(([champion, candidate], i): Flip[] => {
      const part = parts[(i * 3) % Math.max(1, parts.length)];
      if (!part) return [];
      const truth = part.truth?.label ?? 'good';
      // What was there before the line ran has no picture in its records.
      if (i === 1) return [{ key: `base/${truth}_0${i}47.jpg`, truth, champion, candidate, image: null }];
      return [{ key: `line/${part.id}.jpg`, truth, champion, candidate, image: `/api/v1/inspections/${part.id}/image` }];
    });
    return { passed, flips, flips_total: passed ? flips.length : 61, ...(passed ? PASSED : NOT_PASSED) };
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
    { name: 'golden', n_good: 259, n_bad: 120, escapes: rate(4, 2, 0, 2, 0.02, 0.018, true), overkill: rate(5, 4, 1, 2, 0.02, 0.004, true), reviews: rate(14, 12, 3, 5, 0.03, 0.002, true), classes: classes({}) },
    { name: 'newest', n_good: 0, n_bad: 19, escapes: rate(2, 0, 0, 2, 0.02, 0.21, false, 97), overkill: null, reviews: rate(1, 1, 0, 0, 0.03, 0.56, false, 80), classes: [] },
    { name: 'pooled', n_good: 259, n_bad: 139, escapes: rate(6, 2, 0, 4, 0.02, 0.0008, true), overkill: rate(5, 4, 1, 2, 0.02, 0.004, true), reviews: rate(15, 13, 3, 5, 0.03, 0.001, true), classes: [] },
  ],
  words: [
    'The candidate passes the gate.',
    'Escapes: shown not to be worse by 2 % (p = less than 0.001): passed 2 of 139 bad parts with the candidate, 6 with the champion (0 lost, 4 won).',
    'Overkill: shown not to be worse by 2 % (p = 0.004): failed 4 of 259 good parts with the candidate, 5 with the champion (1 lost, 2 won).',
    'Reviews: shown not to be worse by 3 % (p = 0.001): sent to a person 13 of 398 labelled parts with the candidate, 15 with the champion (3 lost, 5 won).',
    'Escapes: the newest set alone has too few parts to tell (19 bad parts, at least 97 more are needed); it counts together with the other.',
  ],
};

const NOT_PASSED: Pick<Gate, 'sets' | 'words'> = {
  sets: [
    { name: 'golden', n_good: 259, n_bad: 120, escapes: rate(4, 9, 6, 1, 0.02, 0.62, false), overkill: rate(5, 3, 0, 2, 0.02, 0.003, true), reviews: rate(14, 12, 3, 5, 0.03, 0.002, true), classes: classes({ scratch: [24, 23, 19], crack: [17, 17, 15] }) },
    { name: 'newest', n_good: 41, n_bad: 11, escapes: rate(1, 1, 0, 0, 0.02, 0.31, false, 84), overkill: rate(1, 0, 0, 1, 0.02, 0.12, false, 60), reviews: rate(2, 5, 4, 1, 0.03, 0.71, false), classes: [] },
    { name: 'pooled', n_good: 300, n_bad: 131, escapes: rate(5, 10, 6, 1, 0.02, 0.58, false), overkill: rate(6, 3, 0, 3, 0.02, 0.001, true), reviews: rate(16, 17, 7, 6, 0.03, 0.08, false, 46), classes: [] },
  ],
  words: [
    'The candidate does not pass the gate.',
    'Escapes: the candidate is worse (p = 0.031): passed 10 of 131 bad parts with the candidate, 5 with the champion (6 lost, 1 won), a rise of 3.82 %. More parts would not help.',
    'Overkill: shown not to be worse by 2 % (p = 0.001): failed 3 of 300 good parts with the candidate, 6 with the champion (0 lost, 3 won).',
    'Reviews: too few parts to show that it is not worse by 3 % (p = 0.080): sent to a person 17 of 431 labelled parts with the candidate, 16 with the champion (7 lost, 6 won). At these rates 46 more labelled parts are needed.',
    'Class `scratch` (golden set): the candidate recognises 19 of 24, the champion 23 (p = 0.002): this blocks.',
    'Class `crack` (golden set): the candidate recognises 15 of 17, the champion 17 (p = 0.004): this blocks.',
  ],
};

/** Where the stages end, as shares of the whole. */
const STAGE_ENDS: [CurvePoint['stage'], number][] = [['features', 0.1], ['head', 0.4], ['all_layers', 1]];

/** As the daemon tells it: how far its stage is, not the whole. */
function progressOf(share: number, last: CurvePoint): NonNullable<Job['progress']> {
  const at = Math.max(0, STAGE_ENDS.findIndex(([, end]) => share < end));
  const [stage, end] = STAGE_ENDS[at]!;
  const from = STAGE_ENDS[at - 1]?.[1] ?? 0;
  const reading = stage === 'features';
  return { stage, done: (share - from) / (end - from), epoch: last.epoch, loss: reading ? 0 : last.loss, accuracy: reading ? 0 : last.accuracy, eta_s: ((end - share) * JOB_MS) / 1000 };
}

function point(seed: number, epoch: number): CurvePoint {
  const t = epoch / EPOCHS;
  const wobble = (k: number) => (noise(seed * 31 + k, epoch) - 0.5) * 0.03;
  const accuracy = 0.965 - 0.62 * Math.exp(-5.5 * t) + wobble(1) * (1 - t);
  return {
    at_s: ((epoch + 1) * JOB_MS) / EPOCHS / 1000,
    stage: STAGE_ENDS.find(([, end]) => t < end)?.[0] ?? 'all_layers',
    epoch: epoch + 1,
    loss: 0.12 + 1.6 * Math.exp(-5 * t) + wobble(2),
    accuracy,
    selection_accuracy: epoch % 3 === 2 ? accuracy - 0.025 + wobble(3) : null,
    selection_loss: null,
  };
}
