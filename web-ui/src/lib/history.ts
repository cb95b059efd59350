// What is on record: what can be asked, how it stands in the address, and the calls that read it.

import { API, read, type Inspection, type InspectionPage, type Verdict } from './api';
import type { components } from './schema';

type Schemas = components['schemas'];

export type Known = Schemas['KnownNames'];
export type Export = Schemas['Export'];

/** What can be asked; each as it stands in the query. */
export const CONDITIONS = ['from', 'to', 'verdict', 'label', 'score_from', 'score_to', 'serial', 'lot', 'recipe', 'model', 'camera', 'region', 'purpose'] as const;
export type Condition = (typeof CONDITIONS)[number];
/** What parts are sent through for; all but the first check the line, and are not counted in Quality. */
export const PURPOSES = ['production', 'golden_sample', 'gauge', 'set_up'] as const;
export type Purpose = (typeof PURPOSES)[number];
export type Asked = Partial<Record<Condition, string>>;

/** From the part of the address behind the page's name; what this page does not know is dropped. */
export function askedOf(query: string): Asked {
  const given = new URLSearchParams(query);
  const asked: Asked = {};
  for (const name of CONDITIONS) {
    const value = given.get(name)?.trim();
    if (value) asked[name] = value;
  }
  return asked;
}

/** And back, always in the same order, so that the same question has the same address. */
export function queryOf(asked: Asked): string {
  const query = new URLSearchParams();
  for (const name of CONDITIONS) {
    const value = asked[name]?.trim();
    if (value) query.set(name, value);
  }
  return query.toString();
}

export const hrefOf = (asked: Asked) => `#history${queryOf(asked) ? `/${queryOf(asked)}` : ''}`;

/** What a line of the list shows. The rest of a record is some kilobytes, and a person scrolls through thousands. */
export type Row = Pick<Inspection, 'id' | 'serial' | 'lot' | 'triggered_at' | 'verdict' | 'cause' | 'label' | 'recipe' | 'camera' | 'has_image'> & { score: number | null; latency_us: number };

export function rowOf(part: Inspection): Row {
  const { id, serial, lot, triggered_at, verdict, cause, label, recipe, camera, has_image } = part;
  const of = [...part.scores, ...part.found].find((it) => it.label === label);
  return { id, serial, lot, triggered_at, verdict, cause, label, recipe, camera, has_image, score: of?.score ?? null, latency_us: part.ledger.total_us };
}

export function readPage(asked: Asked, before: number | null, limit: number): Promise<InspectionPage> {
  const query = new URLSearchParams(queryOf(asked));
  query.set('limit', String(limit));
  if (before !== null) query.set('before', String(before));
  return read<InspectionPage>(`/inspections?${query}`);
}

export const readCount = (asked: Asked) => read<Schemas['InspectionCount']>(`/inspections/count?${queryOf(asked)}`);
export const readKnown = () => read<Known>('/inspections/known');

export type Form = 'csv' | 'parquet' | 'zip';

export const exportUrl = (asked: Asked, form: Form, ticket: string) => `${API}/export?as=${form}&ticket=${ticket}${queryOf(asked) ? `&${queryOf(asked)}` : ''}`;
export const readExport = (ticket: string) => read<Export>(`/exports/${ticket}`);

/** Places of a list of equal rows that are in sight, some above and below included: `[first, end)`. */
export function inSight(top: number, height: number, row: number, perRow: number, count: number, spare: number): [number, number] {
  const first = Math.max(0, Math.floor(top / row) - spare);
  const end = Math.ceil((top + height) / row) + spare;
  return [Math.min(count, first * perRow), Math.min(count, end * perRow)];
}

export type { Verdict };
