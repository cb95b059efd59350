// How good the parts were: what can be asked, how it stands in the address, and the call that reads it.

import { API, read } from './api';
import type { components } from './schema';
import { midnight } from './times';

type Schemas = components['schemas'];

export type Quality = Schemas['Quality'];
export type Share = Schemas['QualityShare'];
export type Point = Schemas['QualityPoint'];
export type Wrong = Schemas['QualityWrong'];
export type Group = Schemas['QualityGroup'];
export type By = Schemas['QualityBy'];

export const PERIODS = ['today', 'yesterday', 'week', 'month'] as const;
export type Period = (typeof PERIODS)[number];
export const BYS: By[] = ['shift', 'lot', 'recipe', 'camera', 'model'];
/** Another time to stand beside: as long, right before it; or the same a week earlier. */
export const BESIDES = ['before', 'week'] as const;
export type Beside = (typeof BESIDES)[number];

export interface Asked {
  period: Period | null;
  /** RFC 3339; where no period is named. */
  from: string;
  to: string;
  by: By;
  beside: Beside | null;
  recipe: string;
  camera: string;
  lot: string;
}

/** From the part of the address behind the page's name; without a time it is today. */
export function askedOf(query: string): Asked {
  const given = new URLSearchParams(query);
  const one = <T extends string>(name: string, of: readonly T[]) => of.find((it) => it === given.get(name)) ?? null;
  const from = given.get('from') ?? '';
  const to = given.get('to') ?? '';
  const custom = !Number.isNaN(Date.parse(from)) && !Number.isNaN(Date.parse(to));
  return {
    period: custom ? null : (one('period', PERIODS) ?? 'today'),
    from: custom ? from : '',
    to: custom ? to : '',
    by: one('by', BYS) ?? 'shift',
    beside: one('beside', BESIDES),
    recipe: given.get('recipe') ?? '',
    camera: given.get('camera') ?? '',
    lot: given.get('lot') ?? '',
  };
}

export function hrefOf(asked: Asked): string {
  const query = new URLSearchParams();
  if (asked.period === null) {
    query.set('from', asked.from);
    query.set('to', asked.to);
  } else if (asked.period !== 'today') query.set('period', asked.period);
  if (asked.by !== 'shift') query.set('by', asked.by);
  for (const name of ['beside', 'recipe', 'camera', 'lot'] as const) if (asked[name]) query.set(name, asked[name]);
  return `#quality${query.size ? `/${query}` : ''}`;
}

/** The time that is asked for, as whole days of this screen's clock. */
export function rangeOf(asked: Asked, now = new Date()): { from: Date; to: Date } {
  switch (asked.period) {
    case null:
      return { from: new Date(asked.from), to: new Date(asked.to) };
    case 'today':
      return { from: midnight(0, now), to: midnight(1, now) };
    case 'yesterday':
      return { from: midnight(-1, now), to: midnight(0, now) };
    case 'week':
      return { from: midnight(-6, now), to: midnight(1, now) };
    case 'month':
      return { from: midnight(-29, now), to: midnight(1, now) };
  }
}

/** The time beside it. Of a time that is not over only as much as has passed, or a whole would stand beside a part. */
export function besideOf(asked: Asked, now = new Date()): { from: Date; to: Date } | null {
  if (!asked.beside) return null;
  const { from, to } = rangeOf(asked, now);
  const until = Math.min(to.getTime(), Math.max(now.getTime(), from.getTime() + 1));
  const back = asked.beside === 'week' ? 7 * 86_400_000 : asked.period === 'today' ? 86_400_000 : to.getTime() - from.getTime();
  return { from: new Date(from.getTime() - back), to: new Date(until - back) };
}

export function readQuality(asked: Asked, now = new Date()): Promise<Quality> {
  const { from, to } = rangeOf(asked, now);
  const query = new URLSearchParams({ from: from.toISOString(), to: to.toISOString(), by: asked.by });
  const beside = besideOf(asked, now);
  if (beside) {
    query.set('and_from', beside.from.toISOString());
    query.set('and_to', beside.to.toISOString());
  }
  for (const name of ['recipe', 'camera', 'lot'] as const) if (asked[name]) query.set(name, asked[name]);
  return read<Quality>(`/quality?${query}`);
}

export const reportUrl = (shift: string, date: string, form: 'pdf' | 'csv') => `${API}/quality/report?${new URLSearchParams({ shift, date, as: form })}`;

/** Where defects were, of one label or of all: the counts, and the most in one cell. */
export function placesOf(quality: Quality, label: string | null): { cells: number[]; most: number; sum: number } {
  const cells = new Array<number>(quality.places.side ** 2).fill(0);
  for (const of of quality.places.labels) if (label === null || of.label === label) of.cells.forEach((n, at) => (cells[at]! += n));
  return { cells, most: Math.max(0, ...cells), sum: cells.reduce((a, b) => a + b, 0) };
}

/** The end of a chart's axis: 1, 2 or 5 times a power of ten, at most all. */
export function axisEnd(most: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1e-4)));
  return Math.min(1, power * ([1, 2, 5, 10].find((step) => step * power >= most) ?? 10));
}
