// Made-up labelling: a queue of parts that the line was unsure of, and what happens to an answer.
// `POST /mock?queue=empty|full`, `?role=kiosk`, `?out` (nobody is signed in), `?refuse=WORDS` (the next answer), `?answers=down|up`, `?trouble=WORDS` (of new labels), `?train=0.5`, `?failed` puts it in another state.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Inspection } from '../src/lib/api';
import type { Answer, AnswerBody, GivenAnswer, Learning, LearningLabel, Neighbour, QueueItem, QueueReason } from '../src/lib/learning';
import { bodyOf } from './body.ts';
import { json, problem } from './answers.ts';
import { LABELS, type MockLine } from './line.ts';
import { MockTraining } from './training.ts';

type Role = 'kiosk' | 'operator' | 'engineer' | 'admin';
const RANK: Role[] = ['kiosk', 'operator', 'engineer', 'admin'];
const QUEUE_LENGTH = 28;

export class MockLearning {
  role: Role = 'admin';
  /** Nobody is signed in. */
  #out = false;
  #refuse: string | null = null;
  #down = false;
  #trouble: string | null = null;
  /** The line forgets its parts after a minute; those that somebody may look at stay here. */
  #kept = new Map<number, Inspection>();
  #queue: QueueItem[] = [];
  #labels: LearningLabel[];
  #given: (GivenAnswer & { id: number; item: QueueItem | null })[] = [];
  #replies = new Map<string, unknown>();
  #labelled: Neighbour[] = [];
  #taken = 9;
  readonly training: MockTraining;

  constructor(
    private readonly line: MockLine,
    private readonly changed: () => void,
  ) {
    const counts = [41, 23, 12, 9, 14, 6, 3, 5, 4, 2];
    this.#labels = LABELS.map((label, i) => ({ name: label.name, verdict: label.verdict as LearningLabel['verdict'], origin: 'model' as const, count: counts[i] ?? 0 }));
    this.#fill();
    this.training = new MockTraining(() => [...this.#kept.values()].filter((part) => part.truth?.defects.length), changed);
  }

  part(id: number): Inspection | null {
    return this.#kept.get(id) ?? null;
  }

  session() {
    if (this.#out) return { open: false, needs_setup: false, who: null };
    return { open: false, needs_setup: false, who: { name: this.role === 'kiosk' ? 'hall' : 'anna', role: this.role, via: 'session' } };
  }

  set(want: URLSearchParams): void {
    this.#out = want.has('out');
    if (want.has('role')) this.role = want.get('role') as Role;
    if (want.has('refuse')) this.#refuse = want.get('refuse');
    if (want.has('trouble')) this.#trouble = want.get('trouble') || null;
    if (want.has('answers')) this.#down = want.get('answers') === 'down';
    if (want.get('queue') === 'empty') this.#queue = [];
    if (want.get('queue') === 'full') this.#fill();
    if (want.has('failed')) this.training.fail();
    if (want.has('train')) this.training.start('anna', Number(want.get('train')) || 0.45);
    this.changed();
  }

  /** Whether the path was one of learning's. */
  answer(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    const on = (pattern: RegExp, does: (...groups: string[]) => unknown, method = 'GET', needs: Role = 'kiosk') => {
      const match = pattern.exec(path);
      if (!match || req.method !== method) return false;
      if (RANK.indexOf(this.role) < RANK.indexOf(needs)) problem(res, 403, `\`${this.session().who?.name}\` is ${this.role}, and this needs the role ${needs}`);
      else void does(...match.slice(1));
      return true;
    };
    const by = 'anna';
    const found = <T>(value: T | null | undefined) => (value ? json(res, value) : problem(res, 404, `nothing at ${path}`));
    const done = (wrong: string | null, value: () => unknown) => (wrong ? problem(res, 409, wrong) : json(res, value()));
    return (
      on(/^\/learning$/, () => json(res, this.#learning())) ||
      on(/^\/queue$/, () => json(res, { waiting: this.#queue.length, items: this.#queue.slice(0, 50) })) ||
      on(/^\/queue\/(\d+)$/, (id) => found(this.#detail(Number(id)))) ||
      on(/^\/inspections\/(\d+)\/label$/, (id) => json(res, { answers: this.#given.filter((given) => given.id === Number(id)) })) ||
      on(/^\/inspections\/(\d+)\/label$/, (id) => this.#take(Number(id), req, res), 'POST', 'operator') ||
      on(/^\/labels\/undo$/, () => void this.#undo(req, res), 'POST', 'operator') ||
      on(/^\/jobs$/, () => json(res, { jobs: this.training.jobs() })) ||
      on(/^\/jobs\/(\d+)$/, (id) => found(this.training.job(Number(id)))) ||
      on(/^\/jobs$/, () => json(res, this.training.start(by), 201), 'POST', 'engineer') ||
      on(/^\/jobs\/(\d+)\/(cancel|pause|resume|judge)$/, (id, what) => found(this.training.tell(Number(id), what!)), 'POST', 'engineer') ||
      on(/^\/jobs\/(\d+)$/, (id) => (this.training.remove(Number(id)) ? res.writeHead(204).end() : found(null)), 'DELETE', 'engineer') ||
      on(/^\/models$/, () => json(res, this.training.models())) ||
      on(/^\/models\/([0-9a-f]{64})$/, (digest) => found(this.training.model(digest!))) ||
      on(/^\/models\/([0-9a-f]{64})\/promote$/, async (digest) => done(this.training.promote(digest!, ((await bodyOf(req)).reason as string | null) ?? null, by), () => this.training.promotion()), 'POST', 'engineer') ||
      on(/^\/models\/rollback$/, async () => done(this.training.rollBack(String((await bodyOf(req)).reason ?? ''), by), () => this.training.promotion()), 'POST', 'engineer')
    );
  }

  #learning(): Learning {
    const reasons = new Map<QueueReason, number>();
    for (const item of this.#queue) for (const { reason } of item.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    const standing = this.#given.filter((given) => !given.undone);
    const of = (answer: AnswerBody['answer']) => standing.filter((given) => given.answer === answer).length;
    return {
      labels: this.#labels.map((label) => ({ ...label, count: label.count + standing.filter((given) => given.label === label.name).length })),
      queue: { waiting: this.#queue.length, per_hour: 60, taken_this_hour: this.#taken, reasons: [...reasons].map(([reason, count]) => ({ reason, count })) },
      answers: { labelled: 119 + of('label'), unsure: 3 + of('unsure'), skipped: 5 + of('skip'), overrides: 11 },
      second_opinion: { share: 0.1, pairs: 20, kappa: 0.83 },
      estimates: { share: 0.01, audited: 40, bad: 12, good: 28, escape_rate: 0.083, escape_ci: [0.015, 0.354], overkill_rate: 0.036, overkill_ci: [0.006, 0.177] },
    };
  }

  #detail(id: number) {
    const item = this.#queue.find((item) => item.id === id);
    const seed = id % 7;
    return item && { ...item, neighbours: this.#labelled.filter((near) => near.id !== id).slice(seed, seed + 6).map((near, i) => ({ ...near, distance: 0.12 + 0.09 * i + 0.01 * seed })) };
  }

  async #take(id: number, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = (await bodyOf(req)) as AnswerBody;
    if (body.answer === 'label' && !/^[^/,\p{Cc}]{1,64}$/u.test(body.label)) return problem(res, 422, `\`${body.label}\` is no name for a label: give 1 to 64 characters without line breaks, \`/\` and \`,\``);
    const key = String(req.headers['idempotency-key'] ?? '');
    const replay = this.#replies.get(key);
    if (replay) return json(res, replay);
    if (this.#down) return problem(res, 503, 'the store is busy');
    if (this.#refuse) {
      const words = this.#refuse;
      this.#refuse = null;
      return problem(res, 422, words);
    }
    const part = this.#kept.get(id) ?? this.line.parts.find((part) => part.id === id);
    if (!part) return problem(res, 404, `no part ${id}`);
    this.#kept.set(id, part);
    const item = this.#queue.find((item) => item.id === id) ?? null;
    this.#queue = this.#queue.filter((item) => item.id !== id);
    const label = body.answer === 'label' ? body.label : null;
    const isNew = label !== null && !this.#labels.some((known) => known.name === label);
    // A kind is there from its first label on, unless something is in its way.
    if (isNew) this.#labels.push({ name: label, verdict: (body.answer === 'label' && body.verdict) || 'fail', origin: this.#trouble ? 'new' : 'registered', count: 0 });
    const given = { answer: body.answer, label, by: 'anna', at: new Date().toISOString(), undone: false, way: item ? ('queue' as const) : ('override' as const) };
    this.#given.push({ ...given, id, item });
    const shots = this.#given.filter((other) => !other.undone && other.label === label).length;
    const isKind = label !== null && !LABELS.some((own) => own.name === label);
    const answer: Answer = { ...given, id, new_kind: isKind ? { label, shots, trouble: this.#trouble } : null };
    this.#replies.set(key, answer);
    this.changed();
    json(res, answer);
  }

  async #undo(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { id } = (await bodyOf(req)) as { id?: number | null };
    const key = String(req.headers['idempotency-key'] ?? '');
    const replay = this.#replies.get(key);
    if (replay) return json(res, replay);
    if (this.#down) return problem(res, 503, 'the store is busy');
    const last = this.#given.filter((given) => !given.undone).at(-1);
    if (!last) return problem(res, 409, 'there is no answer of yours to take back');
    if (typeof id === 'number' && id !== last.id) return problem(res, 409, `your last answer is about part ${last.id}, not ${id}: nothing is taken back`);
    last.undone = true;
    if (last.item) this.#queue = [last.item, ...this.#queue];
    this.#replies.set(key, { id: last.id });
    this.changed();
    json(res, { id: last.id });
  }

  #fill(): void {
    const abnormal = this.line.parts.filter((part) => part.verdict === 'fail' || part.verdict === 'review');
    const passed = this.line.parts.filter((part) => part.verdict === 'pass');
    const mixed = abnormal.flatMap((part, i) => (i % 2 ? [part] : [part, passed[i]!])).slice(0, QUEUE_LENGTH);
    this.#queue = mixed.map((part, i) => this.#queued(part, i)).sort((a, b) => b.value - a.value);
    this.#labelled = [...abnormal, ...passed.slice(0, 6)].slice(-18).map((part) => ({ id: part.id, label: part.label ?? 'good', distance: 0 }));
    for (const part of [...abnormal, ...passed.slice(0, 40)]) if (!this.#kept.has(part.id)) this.#kept.set(part.id, part);
  }

  #queued(part: Inspection, i: number): QueueItem {
    const other = LABELS[1 + (i % (LABELS.length - 1))]!.name;
    const top = part.label ?? 'good';
    const scores = part.scores.map((s) => (s.label === top ? { ...s, score: 0.52 + 0.004 * i } : s.label === other && other !== top ? { ...s, score: 0.47 - 0.003 * i } : s));
    const score = (name: string) => scores.find((s) => s.label === name)?.score.toFixed(2) ?? '';
    const unsure: Inspection = { ...part, scores, found: part.found.map((f) => ({ ...f, score: scores.find((s) => s.label === f.label)?.score ?? f.score })) };
    this.#kept.set(part.id, unsure);
    const close = { reason: 'low_margin' as const, detail: `${top} ${score(top)}, ${other === top ? 'good' : other} ${score(other === top ? 'good' : other)}` };
    const more: QueueItem['reasons'] = [
      [{ reason: 'unlike' as const, detail: 'nearest labelled part at distance 0.74' }],
      [{ reason: 'drifted' as const, detail: '0.41 from the nearest picture that the model learned from; 0.29 is usual' }],
      [{ reason: 'heads_disagree' as const, detail: 'classifier fail, memory pass' }],
      [{ reason: 'audit' as const, detail: '' }],
      [],
    ][i % 5]!;
    const { id, triggered_at, serial, verdict, label, model } = part;
    return { id, triggered_at, serial, verdict, label, scores, model, value: 0.95 - 0.02 * i, reasons: i % 5 === 3 ? more : [close, ...more] };
  }
}
