// A made-up map: a heap a label, parts of two of them mixed, and one heap that nobody has a name for. `POST /mock?map=none|failed|slow`,
// `?map=10000` for as many points.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FeatureMap, Points } from '../src/lib/features';
import { json, problem } from './answers.ts';
import { bodyOf } from './body.ts';
import type { MockLearning } from './learning.ts';
import { LABELS } from './line.ts';
import { noise } from './picture.ts';

const QUICK_MS = 3_000;
const SLOW_MS = 60_000;

export class MockFeatures {
  #map: FeatureMap | null = null;
  #began = 0;
  #lasts = QUICK_MS;
  #waiting = new Set<number>();

  constructor(private readonly learning: MockLearning) {
    this.#draw(2_000, Date.now() - QUICK_MS);
  }

  set(want: URLSearchParams): void {
    const how = want.get('map');
    if (how === 'none') this.#map = null;
    if (how === 'slow') this.#lasts = SLOW_MS;
    if (how === 'failed') this.#map = { ...this.#draw(2_000, Date.now()), state: 'failed', progress: null, ended_at: new Date().toISOString(), reason: 'a map takes 20 parts with a sketch, and 3 are on record: let the line inspect some more' };
    if (Number(how) > 0) this.#draw(Number(how), Date.now() - QUICK_MS);
  }

  /** Whether the path was one of features. */
  answer(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    this.#settle();
    if (path === '/queue' && req.method === 'POST') void this.#send(req, res);
    else if (path === '/features/points') this.#map?.state === 'done' ? json(res, pointsOf(this.#map.limit, this.#waiting)) : problem(res, 404, 'there is no map yet: ask for one');
    else if (path === '/features/cancel') this.#cancel(res);
    else if (path === '/features') void (req.method === 'POST' ? this.#ask(req, res) : json(res, { map: this.#map }));
    else return false;
    return true;
  }

  #draw(limit: number, began: number): FeatureMap {
    this.#began = began;
    this.#map = { state: 'running', limit, by: 'anna', created_at: new Date(began).toISOString(), ended_at: null, reason: null, progress: { done: 0, eta_s: this.#lasts / 1000 }, found: null };
    return this.#map;
  }

  #settle(): void {
    if (this.#map?.state !== 'running') return;
    const done = (Date.now() - this.#began) / this.#lasts;
    if (done < 1) this.#map = { ...this.#map, progress: { done, eta_s: ((1 - done) * this.#lasts) / 1000 } };
    else this.#map = { ...this.#map, state: 'done', progress: null, ended_at: new Date().toISOString(), found: { parts: this.#map.limit, of_other_models: 12, without_sketch: 19 } };
  }

  async #ask(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (this.learning.role === 'kiosk') return problem(res, 403, 'this needs the role operator');
    const { limit = 2_000 } = (await bodyOf(req)) as { limit?: number };
    if (this.#map?.state === 'running') return problem(res, 409, 'a map is being drawn, and one is at a time: wait for it, or cancel it');
    json(res, this.#draw(limit, Date.now()), 201);
  }

  #cancel(res: ServerResponse): void {
    if (this.#map?.state !== 'running') return problem(res, 409, 'no map is being drawn: there is nothing to cancel');
    this.#map = { ...this.#map, state: 'failed', progress: null, ended_at: new Date().toISOString(), reason: 'it was cancelled' };
    res.writeHead(204).end();
  }

  async #send(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { ids } = (await bodyOf(req)) as { ids: number[] };
    const waiting = ids.filter((id) => this.#waiting.has(id)).length;
    ids.forEach((id) => this.#waiting.add(id));
    json(res, { queued: ids.length - waiting, waiting, without_picture: 0, checks: 0, unknown: 0 });
  }
}

function pointsOf(count: number, waiting: Set<number>): Points {
  const points: Points = { ids: [], x: [], y: [], at_ms: [], verdicts: [], said: [], labels: [], waiting: [], pictures: [] };
  const now = Date.now();
  for (let i = 0; i < count; i++) {
    const heap = noise(i, 1) < 0.7 ? 0 : 1 + Math.floor(noise(i, 2) * (LABELS.length - 1));
    const label = LABELS[heap]!;
    const gauss = (k: number) => noise(i, k) + noise(i, k + 1) + noise(i, k + 2) - 1.5;
    const [turn, reach] = [heap * 2.4, heap === 0 ? 0 : 0.72];
    const wide = heap === 0 ? 0.42 : 0.11;
    points.ids.push(i + 1);
    points.x.push(Math.max(-1, Math.min(1, reach * Math.cos(turn) + wide * gauss(10))));
    points.y.push(Math.max(-1, Math.min(1, reach * Math.sin(turn) + wide * gauss(20))));
    points.at_ms.push(now - (count - i) * 4_000);
    points.verdicts.push(noise(i, 5) < 0.01 ? 'no_decision' : label.verdict);
    points.said.push(label.name);
    points.labels.push(noise(i, 6) < 0.15 ? label.name : null);
    points.waiting.push(waiting.has(i + 1));
    points.pictures.push(true);
  }
  return points;
}
