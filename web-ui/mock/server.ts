// The contract over HTTP, as a Vite plugin, for `npm run dev` and `npm run preview`.
// `POST /mock?state=safe_hold&only=fail&rate=2`, `?alert=gpu-hot`, `?views`, `?down`, `?clear` puts the line in another state;
// `cameras.ts` names those of cameras, `checks.ts` those of golden samples and set-up, `learning.ts` those of labelling and training, `drift.ts` those of drift.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Connect, Plugin } from 'vite';
import type { LineState, LineStatus, Verdict } from '../src/lib/api';
import { alertsOf } from './alerts.ts';
import { json, problem } from './answers.ts';
import { MockCameras } from './cameras.ts';
import { MockChecks } from './checks.ts';
import { MockDrift } from './drift.ts';
import { MockFeatures } from './features.ts';
import { MockLearning } from './learning.ts';
import { MockLine, USUAL } from './line.ts';
import { pictureOf } from './picture.ts';
import { evidenceOf } from './png.ts';
import { MockRecords } from './records.ts';
import { MockReplays } from './replays.ts';

/** What the daemon sends, so that a page that would break under it breaks here first. */
const CSP = "default-src 'self'; style-src 'self' 'unsafe-inline'";
const TICK_MS = 50;

export function mockLine(): Plugin {
  return {
    name: 'mock-line',
    configureServer: (server) => void server.middlewares.use(routes()),
    configurePreviewServer: (server) =>
      void server.middlewares.use((_, res, next) => {
        res.setHeader('content-security-policy', CSP);
        next();
      }).use(routes()),
  };
}

function routes(): Connect.NextHandleFunction {
  const line = new MockLine();
  line.backfill(600);
  const clients = new Set<ServerResponse>();
  const send = (text: string) => clients.forEach((c) => c.write(text));
  const learning = new MockLearning(line, () => send(event('learning', {})));
  const drift = new MockDrift(() => learning.role);
  const records = new MockRecords(line);
  const replays = new MockReplays(line, learning);
  const cameras = new MockCameras(line);
  const checks = new MockChecks(line);
  const features = new MockFeatures(learning);
  setInterval(() => {
    for (const part of line.tick(TICK_MS / 1000)) send(event('inspection', part, part.id));
  }, TICK_MS).unref();
  setInterval(() => send(event('status', line.status())), 1000).unref();

  return (req, res, next) => {
    const url = new URL(req.url ?? '/', 'http://mock');
    if (url.pathname === '/mock') {
      replays.set(url.searchParams);
      cameras.set(url.searchParams);
      checks.set(url.searchParams);
      features.set(url.searchParams);
      return set(line, learning, drift, clients, url.searchParams, res);
    }
    if (!url.pathname.startsWith('/api/v1')) return next();
    if (line.scenario.down) return void res.writeHead(503).end();
    const path = url.pathname.slice('/api/v1'.length);
    if (cameras.answer(path, req, res) || features.answer(path, req, res) || drift.answer(path, req, res) || replays.answer(path, req, res) || records.answer(path, url.searchParams, res) || checks.answer(path, req, res)) return;
    answer(line, learning, clients, url, req, res);
  };
}

function answer(line: MockLine, learning: MockLearning, clients: Set<ServerResponse>, url: URL, req: IncomingMessage, res: ServerResponse): void {
  const path = url.pathname.slice('/api/v1'.length);
  if (path === '/session') return json(res, learning.session());
  if (learning.answer(path, req, res)) return;
  if (path === '/line') return json(res, line.status());
  if (path === '/line/trend') return json(res, line.trend());
  if (path === '/events') return subscribe(line, clients, req, res);
  const [, seen] = /^\/alerts\/([^/]+)\/acknowledge$/.exec(path) ?? [];
  if (seen) return acknowledge(line, clients, seen, res);
  const [, id, image] = /^\/inspections\/(\d+)(\/image)?$/.exec(path) ?? [];
  const part = learning.part(Number(id)) ?? line.parts.find((p) => p.id === Number(id));
  if (!part) return problem(res, 404, `no part ${id ?? path}`);
  if (!image) return json(res, part);
  if (!part.has_image) return problem(res, 404, 'no picture was kept');
  // What a script asks for itself is the whole picture; what an image shows is the small one.
  if (req.headers['sec-fetch-dest'] === 'empty') return void res.writeHead(200, { 'content-type': 'image/png', 'x-inspectd-picture': 'evidence' }).end(evidenceOf(part.id));
  res.writeHead(200, { 'content-type': 'image/svg+xml', 'cache-control': 'private, max-age=3600' }).end(pictureOf(part));
}

function subscribe(line: MockLine, clients: Set<ServerResponse>, req: IncomingMessage, res: ServerResponse): void {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  res.write(event('status', line.status()));
  res.write(event('alerts', { active: line.alerts, recent: [] }));
  const last = Number(req.headers['last-event-id']);
  if (last) for (const part of line.parts.filter((p) => p.id > last)) res.write(event('inspection', part, part.id));
  clients.add(res);
  res.on('close', () => clients.delete(res));
}

function acknowledge(line: MockLine, clients: Set<ServerResponse>, id: string, res: ServerResponse): void {
  const alert = line.alerts.find((a) => a.id === id);
  if (!alert) return problem(res, 404, `no alert ${id} is on`);
  alert.acknowledged = { by: 'live page', at: new Date().toISOString(), comment: null };
  clients.forEach((c) => c.write(event('alerts', { active: line.alerts, recent: [] })));
  json(res, alert);
}

function set(line: MockLine, learning: MockLearning, drift: MockDrift, clients: Set<ServerResponse>, want: URLSearchParams, res: ServerResponse): void {
  line.scenario = {
    state: (want.get('state') as LineState | null) ?? USUAL.state,
    state_reason: want.get('reason'),
    rate: Number(want.get('rate') ?? USUAL.rate),
    only: want.get('only') as Verdict | null,
    gpu: want.has('gpu'),
    store: (want.get('store') as LineStatus['store']['state'] | null) ?? USUAL.store,
    views: want.has('views'),
    down: want.has('down'),
  };
  learning.set(want);
  drift.set(want);
  line.alerts = alertsOf(want.getAll('alert'), Date.now());
  clients.forEach((c) => c.write(event('alerts', { active: line.alerts, recent: [] })));
  if (want.has('clear')) line.clear();
  if (line.scenario.down) clients.forEach((c) => c.end());
  json(res, line.scenario);
}

const event = (name: string, data: unknown, id?: number) => `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
