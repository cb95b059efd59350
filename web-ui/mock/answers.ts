// How the made-up line answers.

import type { ServerResponse } from 'node:http';

export function json(res: ServerResponse, body: unknown, status = 200): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const TITLES: Record<number, string> = { 403: 'This is not allowed', 404: 'Not found', 409: 'This cannot be done now', 422: 'This cannot be done', 503: 'Not now' };

export function problem(res: ServerResponse, status: number, detail: string): void {
  res.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ type: 'about:blank', title: TITLES[status], status, detail }));
}
