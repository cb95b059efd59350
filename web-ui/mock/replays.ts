// Made-up replays: stored parts that other thresholds would have decided otherwise, more and more of them since a tool wore.
// `POST /mock?replays=none` forgets all, `?replay=slow|empty|quick` says how the next ones go.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Changed, NewReplay, Replay, ReplayDetail, Report } from '../src/lib/replays';
import { json, problem } from './answers.ts';
import { bodyOf } from './body.ts';
import type { MockLearning } from './learning.ts';
import { MODEL_DIGEST, type MockLine } from './line.ts';
import { noise } from './picture.ts';

const QUICK_MS = 4_000;
const SLOW_MS = 90_000;
const STEPS = 96;
const SHOWN = 500;

type Held = { replay: Replay; report: Report | null; began: number; lasts: number };

export class MockReplays {
  #held: Held[] = [];
  #lasts = QUICK_MS;
  #empty = false;

  constructor(
    private readonly line: MockLine,
    private readonly learning: MockLearning,
  ) {
    const now = Date.now();
    this.#begin({ from: new Date(now - 8 * 3_600_000).toISOString(), to: new Date(now).toISOString(), thresholds: { scratch: 0.4 } }, now - QUICK_MS);
  }

  set(want: URLSearchParams): void {
    if (want.get('replays') === 'none') this.#held = [];
    if (want.has('replay')) this.#lasts = want.get('replay') === 'slow' ? SLOW_MS : QUICK_MS;
    if (want.has('replay')) this.#empty = want.get('replay') === 'empty';
  }

  /** Whether the path was one of replays. */
  answer(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    const [, id, what] = /^\/replays(?:\/(\d+)(?:\/(cancel|report|serials))?)?$/.exec(path) ?? [null, null, null];
    if (!path.startsWith('/replays')) return false;
    this.#held.forEach((held) => this.#settle(held));
    if (req.method !== 'GET' && this.learning.role !== 'engineer' && this.learning.role !== 'admin') problem(res, 403, `this needs the role engineer`);
    else if (!id) void (req.method === 'POST' ? this.#post(req, res) : json(res, { replays: this.#held.map((held) => held.replay) }));
    else this.#one(Number(id), what ?? null, req, res);
    return true;
  }

  async #post(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const asked = (await bodyOf(req)) as unknown as NewReplay;
    const busy = this.#held.find((held) => held.replay.state === 'running');
    if (busy) return problem(res, 409, `replay ${busy.replay.id} has not ended yet, and one runs at a time: wait for it, or cancel it`);
    json(res, this.#begin(asked, Date.now()), 201);
  }

  #one(id: number, what: string | null, req: IncomingMessage, res: ServerResponse): void {
    const held = this.#held.find((held) => held.replay.id === id);
    if (!held) return problem(res, 404, `there is no replay ${id}: the newest 20 are kept`);
    if (what === 'cancel') held.replay = { ...held.replay, state: 'cancelled', progress: null, ended_at: new Date().toISOString() };
    if (req.method === 'DELETE') {
      this.#held = this.#held.filter((other) => other !== held);
      return void res.writeHead(204).end();
    }
    if (what === 'serials') return void res.writeHead(200, { 'content-type': 'text/csv', 'content-disposition': `attachment; filename="replay-${id}.csv"` }).end(['serial', ...(held.report?.changed ?? []).map((part) => part.serial)].join('\r\n'));
    const report = held.report && { ...held.report, changed: held.report.changed.slice(0, SHOWN) };
    if (what === 'report') return json(res, held.report);
    const left = { serials: 0, missing: 0, unreadable: 0, undecidable: 0, recipes: 0, changed: Math.max(0, (held.report?.changed.length ?? 0) - SHOWN) };
    json(res, { ...held.replay, report, left_out: report && left } satisfies ReplayDetail);
  }

  #begin(asked: NewReplay, began: number): Replay {
    const { from, to, serial = null, label = null, verdict = null } = asked;
    const replay: Replay = {
      id: 1 + Math.max(0, ...this.#held.map((held) => held.replay.id)),
      state: 'running',
      range: { from, to, serial, label, verdict, limit: 250_000 },
      model: asked.model ? { name: 'surface-defects', digest: asked.model } : null,
      thresholds: asked.thresholds ?? {},
      by: 'anna',
      created_at: new Date(began).toISOString(),
      ended_at: null,
      reason: null,
      progress: null,
      found: null,
    };
    const held = { replay, report: null, began, lasts: this.#lasts };
    this.#held.unshift(held);
    this.#settle(held);
    return held.replay;
  }

  #settle(held: Held): void {
    if (held.replay.state !== 'running') return;
    const done = Math.min(1, (Date.now() - held.began) / held.lasts);
    if (done < 1) return void (held.replay = { ...held.replay, progress: { done, eta_s: ((1 - done) * held.lasts) / 1000 } });
    const ended_at = new Date().toISOString();
    if (this.#empty) {
      const reason = 'no such part is on record in this range: the records reach from 2026-11-20T06:00:00.000Z to 2026-11-26T14:00:00.000Z; choose a range within';
      return void (held.replay = { ...held.replay, state: 'failed', reason, progress: null, ended_at });
    }
    held.report = this.#report(held.replay);
    const { asked_for, decided, changed } = held.report.parts;
    const first = held.report.changed[0] ?? null;
    held.replay = { ...held.replay, state: 'done', progress: null, ended_at, found: { asked_for, decided, changed, first } };
  }

  #report({ range, model, thresholds }: Replay): Report {
    const from = Date.parse(range.from);
    const step = (Date.parse(range.to) - from) / STEPS;
    const ids = this.line.parts.map((part) => part.id);
    const changed: Changed[] = [];
    const steps = Array.from({ length: STEPS }, (_, i) => {
      const parts = i > 40 && i < 44 ? 0 : 10 + Math.round(6 * noise(i, 1));
      const worn = Math.max(0, i - 55) / STEPS;
      const held = Math.min(parts, Math.round(6 * worn * noise(i, 2)));
      const through = noise(i, 3) > 0.96 && parts ? 1 : 0;
      for (let n = 0; n < held + through; n++) {
        const id = ids[(i * 7 + n) % ids.length] ?? i;
        const score = 0.4 + 0.1 * noise(i, n);
        const [good, bad] = [{ verdict: 'pass', cause: null, label: 'good' }, { verdict: 'fail', cause: null, label: 'scratch' }];
        const back = n < held;
        changed.push({ id: id + 100_000 * changed.length, at: new Date(from + (i + n / 8) * step).toISOString(), serial: noise(i, n + 9) > 0.9 ? null : `S${String(70_000 + i * 10 + n)}`, before: back ? good! : bad!, after: back ? bad! : good!, top: { label: back ? 'good' : 'scratch', score } });
      }
      return { parts, decided: parts, held_back: held, let_through: through, otherwise: 0 };
    });
    const sum = (of: (step: (typeof steps)[number]) => number) => steps.reduce((all, step) => all + of(step), 0);
    const [decided, held, through] = [sum((s) => s.parts), sum((s) => s.held_back), sum((s) => s.let_through)];
    const change = (back: boolean) => {
      const those = changed.filter((part) => (part.after.verdict === 'fail') === back);
      return those.length ? [{ before: back ? 'pass' : 'fail', after: back ? 'fail' : 'pass', parts: those.length, first: those[0]!, last: those.at(-1)!, serials: those.flatMap((part) => part.serial ?? []), without_serial: those.filter((part) => part.serial === null).length }] : [];
    };
    return {
      format: 1,
      range,
      tried: { from: model ? 'pictures' : 'scores', model, thresholds, recipe: null },
      parts: { asked_for: decided + 21, beyond_limit: 0, decided, changed: held + through, unchanged: decided - held - through, other_label: 2, not_reproduced: 0, without_picture: 0, missing: 0, unreadable: 0, without_scores: 9, undecidable: 12 },
      recipes: [{ recipe: 'demo@1', parts: decided + 21, source: 'file', taken: 'demo@1' }],
      verdicts: [
        { before: 'pass', after: 'pass', parts: decided - held - 90 },
        { before: 'pass', after: 'fail', parts: held },
        { before: 'review', after: 'review', parts: 22 },
        { before: 'fail', after: 'pass', parts: through },
        { before: 'fail', after: 'fail', parts: 68 - through },
      ].filter((cell) => cell.parts > 0),
      changes: [...change(true), ...change(false)],
      changed,
      timeline: { from: range.from, step_s: Math.round(step / 1000), steps },
      missing: [],
      unreadable: [],
      undecidable: [{ reason: `model ${MODEL_DIGEST.slice(0, 12)} decided them and is not here: replay their pictures with a model (\`--bundle\`)`, parts: 12, first: { id: 3, at: range.from, serial: null }, last: { id: 40, at: range.from, serial: null } }],
      notes: [],
      damaged_bytes: 0,
    };
  }
}
