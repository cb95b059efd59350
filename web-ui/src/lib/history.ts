// What is on record: what can be asked, how it stands in the address, and the calls that read it.

import { API, read, sendPicture, type Inspection, type InspectionPage, type Verdict } from './api';
import type { components } from './schema';

type Schemas = components['schemas'];

export type Known = Schemas['KnownNames'];
export type Export = Schemas['Export'];
export type Found = Schemas['FoundParts'];
export type Understood = Schemas['Understood'];

const FOUND_WITHIN_MS = 30_000;

/** What can be asked; each as it stands in the query. */
export const CONDITIONS = ['from', 'to', 'verdict', 'label', 'score_from', 'score_to', 'serial', 'lot', 'recipe', 'model', 'camera', 'region', 'purpose'] as const;
export type Condition = (typeof CONDITIONS)[number];
/** What parts are sent through for; all but the first check the line, and are not counted in Quality. */
export const PURPOSES = ['production', 'golden_sample', 'gauge', 'set_up'] as const;
export type Purpose = (typeof PURPOSES)[number];
/** What is looked for beside all conditions: some words, or parts like one. The list is in the order of likeness then, and ends. */
export const LIKENESS = ['words', 'like'] as const;
export type Asked = Partial<Record<Condition | (typeof LIKENESS)[number], string>>;
const ALL = [...LIKENESS, ...CONDITIONS] as const;

/** From the part of the address behind the page's name; what this page does not know is dropped. */
export function askedOf(query: string): Asked {
  const given = new URLSearchParams(query);
  const asked: Asked = {};
  for (const name of ALL) {
    const value = given.get(name)?.trim();
    if (value) asked[name] = value;
  }
  return asked;
}

/** And back, always in the same order, so that the same question has the same address. */
export const queryOf = (asked: Asked) => query(asked, ALL);

/** The conditions alone: what lists, counts and exports are asked. */
const conditionsOf = (asked: Asked) => query(asked, CONDITIONS);

function query(asked: Asked, names: readonly (keyof Asked)[]): string {
  const query = new URLSearchParams();
  for (const name of names) {
    const value = asked[name]?.trim();
    if (value) query.set(name, value);
  }
  return query.toString();
}

/** Whether the list is one of likeness. */
export const isLikeness = (asked: Asked) => LIKENESS.some((name) => asked[name]);

export const hrefOf = (asked: Asked) => `#history${queryOf(asked) ? `/${queryOf(asked)}` : ''}`;

/** What a line of the list shows. The rest of a record is some kilobytes, and a person scrolls through thousands. */
export type Row = Pick<Inspection, 'id' | 'serial' | 'lot' | 'triggered_at' | 'verdict' | 'cause' | 'label' | 'recipe' | 'camera' | 'has_image'> & { score: number | null; latency_us: number; likeness: number | null };

export function rowOf(part: Inspection, likeness: number | null = null): Row {
  const { id, serial, lot, triggered_at, verdict, cause, label, recipe, camera, has_image } = part;
  const of = [...part.scores, ...part.found].find((it) => it.label === label);
  return { id, serial, lot, triggered_at, verdict, cause, label, recipe, camera, has_image, score: of?.score ?? null, latency_us: part.ledger.total_us, likeness };
}

export function readPage(asked: Asked, before: number | null, limit: number): Promise<InspectionPage> {
  const query = new URLSearchParams(conditionsOf(asked));
  query.set('limit', String(limit));
  if (before !== null) query.set('before', String(before));
  return read<InspectionPage>(`/inspections?${query}`);
}

/** Parts that fit, the most alike first; of a picture, where one is given. A search reads through all vectors, a picture is looked at by the model. */
export function readFound(asked: Asked, picture: Blob | null, limit: number): Promise<Found> {
  const query = new URLSearchParams(picture ? conditionsOf(asked) : queryOf(asked));
  query.set('limit', String(limit));
  const path = `/inspections/found?${query}`;
  return picture ? sendPicture<Found>(path, picture, FOUND_WITHIN_MS) : read<Found>(path, FOUND_WITHIN_MS);
}

export const readCount = (asked: Asked) => read<Schemas['InspectionCount']>(`/inspections/count?${conditionsOf(asked)}`);
export const readKnown = () => read<Known>('/inspections/known');

export type Form = 'csv' | 'parquet' | 'zip';

export const exportUrl = (asked: Asked, form: Form, ticket: string) => `${API}/export?as=${form}&ticket=${ticket}${conditionsOf(asked) ? `&${conditionsOf(asked)}` : ''}`;
export const readExport = (ticket: string) => read<Export>(`/exports/${ticket}`);

/** Places of a list of equal rows that are in sight, some above and below included: `[first, end)`. */
export function inSight(top: number, height: number, row: number, perRow: number, count: number, spare: number): [number, number] {
  const first = Math.max(0, Math.floor(top / row) - spare);
  const end = Math.ceil((top + height) / row) + spare;
  return [Math.min(count, first * perRow), Math.min(count, end * perRow)];
}

export type { Verdict };
