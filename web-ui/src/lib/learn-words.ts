// Learning in an operator's words.

import { fixed, percent, span } from './format';
import type { Gate, GateRate, GateSet, Job, Learning, Model, QueueItem } from './learning';
import { codeWord, t } from './say';
import { labelInText, labelWord } from './words';

export const reasonWord = (reason: string) => codeWord('reason', reason) ?? labelWord(reason);

/** "scratch 0.52, edge chip 0.47" and the like stand after the words, where there are any. */
export const reasonsOf = (item: Pick<QueueItem, 'reasons'>) => item.reasons.map(({ reason, detail }) => ({ words: reasonWord(reason), detail: detail.replaceAll('_', ' ').trim() || null }));

export const reasonShort = (reason: string) => codeWord('reason_short', reason) ?? labelInText(reason);

/** 0.083 as "8.3%", 0.3 as "30%": no digit that forty parts cannot carry. */
export function rough(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return t('under', { value: percent(0.001) });
  return percent(share, value === 0 || value >= 10 ? 0 : 1);
}

export interface Estimate {
  kind: 'escapes' | 'overkill';
  /** Null: not known yet. */
  rate: string | null;
  interval: string | null;
}

export function estimatesOf({ estimates }: Pick<Learning, 'estimates'>): Estimate[] {
  const of = (kind: Estimate['kind'], rate: number | null, ci: [number, number] | null): Estimate => ({
    kind,
    rate: rate === null ? null : rough(rate),
    interval: rate === null || !ci ? null : t('interval', { from: rough(ci[0]), to: rough(ci[1]) }),
  });
  return [of('escapes', estimates.escape_rate, estimates.escape_ci), of('overkill', estimates.overkill_rate, estimates.overkill_ci)];
}

/** How far people agree beyond chance, by the usual reading of kappa (Landis and Koch). */
export const kappaWord = (kappa: number) => t(kappa > 0.8 ? 'kappa.3' : kappa > 0.6 ? 'kappa.2' : kappa > 0.4 ? 'kappa.1' : 'kappa.0');

export const short = (digest: string) => digest.replace(/^sha256:/, '').slice(0, 12);

/** "about 2 min", "about 1 h 5 min", never with more precision than it has. */
export function etaWord(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return t('eta.unknown');
  if (seconds < 10) return t('eta.soon');
  return t('eta.about', { time: span(1000 * (seconds < 90 ? Math.min(80, Math.round(seconds / 10) * 10) : Math.round(seconds / 60) * 60)) });
}

export const jobWord = (state: Job['state']) => codeWord('job', state) ?? labelWord(state);
export const modelWord = (state: Model['state']) => codeWord('model', state) ?? labelWord(state);

/** Both sets together: only there does the gate ask for its margins. */
export const POOLED = 'pooled';
export const setWord = (name: string) => codeWord('set', name) ?? labelWord(name);
export const stageWord = (stage: string) => codeWord('training', stage) ?? labelWord(stage);

export const ended = (job: Pick<Job, 'state'>) => job.state === 'done' || job.state === 'failed' || job.state === 'cancelled';

/** Whether a rate of the gate may pass: yes, no, or not to be told yet. */
export function standing(rate: GateRate): 'yes' | 'no' | 'unknown' {
  if (rate.non_inferior) return 'yes';
  return rate.missing === null ? 'no' : 'unknown';
}

/** "p 0.003"; never "p 0.000". */
export function pWord(p: number): string {
  return p < 0.001 ? `< ${fixed(0.001, 3)}` : fixed(p, 3);
}

export interface GateRow {
  kind: 'escapes' | 'overkill' | 'reviews';
  /** Parts to which it can happen. */
  of: number;
  rate: GateRate;
}

/** The rates of a set that could be told. */
export function rowsOf(set: GateSet): GateRow[] {
  const all: (Omit<GateRow, 'rate'> & { rate: GateRate | null })[] = [
    { kind: 'escapes', of: set.n_bad, rate: set.escapes },
    { kind: 'overkill', of: set.n_good, rate: set.overkill },
    { kind: 'reviews', of: set.n_good + set.n_bad, rate: set.reviews },
  ];
  return all.flatMap((row) => (row.rate ? [{ ...row, rate: row.rate }] : []));
}

/** Rates that have no row, and why: a row that is not there must not pass for one that is fine. */
export function untoldOf(gate: Gate): string[] {
  return gate.sets.flatMap((set) => {
    if (set.n_good + set.n_bad === 0) return [t('gate.untold.none', { set: setWord(set.name) })];
    return [
      ...(set.escapes || set.n_bad ? [] : [t('gate.untold.bad', { set: setWord(set.name) })]),
      ...(set.overkill || set.n_good ? [] : [t('gate.untold.good', { set: setWord(set.name) })]),
    ];
  });
}

/** What labels are missing before the gate can tell, a sentence for each rate. A set alone may stay open: the gate does not ask. */
export function missingOf(gate: Gate): string[] {
  return gate.sets
    .filter((set) => set.name === POOLED)
    .flatMap(rowsOf)
    .flatMap(({ kind, rate }) => (rate.missing ? [t(`gate.missing.${kind}`, { n: rate.missing })] : []));
}

export const regressedOf = (gate: Gate) => gate.sets.flatMap((set) => set.classes.filter((c) => c.regressed).map((c) => ({ ...c, set: setWord(set.name) })));

/** A path in the data set as people name the part: the line's own by their number, others by their file. */
export function flipName(key: string): string {
  const id = /^line\/(\d+)\.[^/]*$/.exec(key)?.[1];
  return id ? `#${id}` : key.slice(key.lastIndexOf('/') + 1);
}
