// The HTTP contract of the daemon, version 1: its types, generated from the OpenAPI document (`npm run types`), and the calls
// that read it.

import type { components } from './schema';

type Schemas = components['schemas'];

export type Verdict = Schemas['VerdictWord'];
export type Cause = Schemas['CauseWord'];
export type LineState = Schemas['StateWord'];
export type Counts = Schemas['Counts'];
export type ModelLabel = Schemas['ModelLabel'];
export type LineStatus = Schemas['Line'];
export type Heat = Schemas['Heat'];
export type Pose = Schemas['Pose'];
export type Inspection = Schemas['Inspection'];
export type TrendPoint = Schemas['TrendPoint'];
export type Trend = Schemas['Trend'];
export type InspectionPage = Schemas['InspectionPage'];
export type Session = Schemas['Session'];
export type Alert = Schemas['Alert'];
export type Alerts = Schemas['Alerts'];

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

export async function read<T>(path: string, withinMs = ANSWER_WITHIN_MS): Promise<T> {
  const response = await fetch(API + path, {
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(withinMs),
  });
  if (!response.ok) throw await refusal(response);
  return (await response.json()) as T;
}

/** Changes something. The header is what no page of another site can send; the daemon insists on it. */
export function send<T = void>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, more: Record<string, string> = {}, withinMs = ANSWER_WITHIN_MS): Promise<T> {
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  return call<T>(method, path, body === undefined ? null : JSON.stringify(body), { ...type, ...more }, withinMs);
}

/** Asks about a picture. */
export const sendPicture = <T>(path: string, picture: Blob, withinMs: number) => call<T>('POST', path, picture, { 'content-type': picture.type }, withinMs);

async function call<T>(method: string, path: string, body: BodyInit | null, headers: Record<string, string>, withinMs: number): Promise<T> {
  const response = await fetch(API + path, {
    method,
    headers: { accept: 'application/json', 'x-inspectd': '1', ...headers },
    body,
    signal: AbortSignal.timeout(withinMs),
  });
  if (!response.ok) throw await refusal(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
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
export const readSession = () => read<Session>('/session');
export const readTrend = () => read<Trend>('/line/trend');
export const readInspection = (id: number) => read<Inspection>(`/inspections/${id}`);

export function readInspections(limit: number, verdict?: Verdict): Promise<InspectionPage> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (verdict) query.set('verdict', verdict);
  return read<InspectionPage>(`/inspections?${query}`);
}

/** Says that whoever is signed in has seen an alert. */
export const acknowledge = (id: string) => send<Alert>('POST', `/alerts/${encodeURIComponent(id)}/acknowledge`, {});

/** The part's picture; with `side` no longer than so many pixels: for lists. */
export const imageUrl = (id: number, side?: number) => `${API}/inspections/${id}/image${side ? `?side=${side}` : ''}`;
