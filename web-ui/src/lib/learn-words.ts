// Learning in an operator's words.

import type { Gate, GateRate, GateSet, Job, Learning, Model, QueueItem, QueueReason } from './learning';
import { labelWord } from './words';

const REASON: Record<QueueReason, string> = {
  low_margin: 'The model can hardly tell two labels apart',
  heads_disagree: 'Two ways of judging this part disagree',
  unlike: 'It lies far from every kind that the model knows',
  audit: 'Picked at random, to check the line',
  second_opinion: 'A second opinion, to see how far people agree',
  drifted: 'It lies far from what the model learned from, as more parts do than usual',
};

export const reasonWord = (reason: string) => REASON[reason as QueueReason] ?? labelWord(reason);

/** "scratch 0.52, edge chip 0.47" and the like stand after the words, where there are any. */
export const reasonsOf = (item: Pick<QueueItem, 'reasons'>) => item.reasons.map(({ reason, detail }) => ({ words: reasonWord(reason), detail: detail.replaceAll('_', ' ').trim() || null }));

const REASON_SHORT: Record<QueueReason, string> = {
  low_margin: 'close call',
  heads_disagree: 'heads disagree',
  unlike: 'unlike others',
  audit: 'audit',
  second_opinion: 'second opinion',
  drifted: 'drifted',
};

export const reasonShort = (reason: string) => REASON_SHORT[reason as QueueReason] ?? labelWord(reason).toLowerCase();

/** 0.083 as "8.3", 0.3 as "30": no digit that forty parts cannot carry. */
export function rough(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return 'under 0.1';
  return percent === 0 || percent >= 10 ? percent.toFixed(0) : percent.toFixed(1);
}

export interface Estimate {
  name: 'Escapes' | 'Overkill';
  /** Null: not known yet. */
  percent: string | null;
  interval: string | null;
}

export function estimatesOf({ estimates }: Pick<Learning, 'estimates'>): Estimate[] {
  const of = (name: Estimate['name'], rate: number | null, ci: [number, number] | null): Estimate => ({
    name,
    percent: rate === null ? null : rough(rate),
    interval: rate === null || !ci ? null : `${rough(ci[0])} to ${rough(ci[1])} %`,
  });
  return [of('Escapes', estimates.escape_rate, estimates.escape_ci), of('Overkill', estimates.overkill_rate, estimates.overkill_ci)];
}

/** How far people agree beyond chance, by the usual reading of kappa (Landis and Koch). */
export function kappaWord(kappa: number): string {
  if (kappa > 0.8) return 'nearly always agree';
  if (kappa > 0.6) return 'mostly agree';
  if (kappa > 0.4) return 'agree half-way';
  return 'hardly agree';
}

export const short = (digest: string) => digest.replace(/^sha256:/, '').slice(0, 12);

/** "2 min", "40 s", "1 h 5 min", never with more precision than it has. */
export function etaWord(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return 'not known yet';
  if (seconds < 10) return 'a few seconds';
  if (seconds < 90) return `about ${Math.round(seconds / 10) * 10} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `about ${minutes} min`;
  return `about ${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const JOB_WORD: Record<Job['state'], string> = {
  waiting: 'Waiting',
  running: 'Training',
  paused: 'Paused',
  judging: 'At the gate',
  done: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export const MODEL_WORD: Record<Model['state'], string> = { champion: 'Champion', previous: 'Previous', candidate: 'Candidate', retired: 'Retired' };

/** Both sets together: only there does the gate ask for its margins. */
export const POOLED = 'pooled';
const SET_WORD: Record<string, string> = { golden: 'Golden set', newest: 'Newest labels', [POOLED]: 'All together' };
export const setWord = (name: string) => SET_WORD[name] ?? labelWord(name);

const STAGE_WORD = { features: 'Reading the pictures', head: 'Training the head', all_layers: 'Training all layers' } as const;
export const stageWord = (stage: string) => STAGE_WORD[stage as keyof typeof STAGE_WORD] ?? labelWord(stage);

export const ended = (job: Pick<Job, 'state'>) => job.state === 'done' || job.state === 'failed' || job.state === 'cancelled';

/** Whether a rate of the gate may pass: yes, no, or not to be told yet. */
export function standing(rate: GateRate): 'yes' | 'no' | 'unknown' {
  if (rate.non_inferior) return 'yes';
  return rate.missing === null ? 'no' : 'unknown';
}

/** "p 0.003"; never "p 0.000". */
export function pWord(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}

export interface GateRow {
  name: 'Escapes' | 'Overkill' | 'Held for review';
  /** Parts to which it can happen, as words and as a number. */
  kind: 'bad' | 'good' | 'labelled';
  of: number;
  rate: GateRate;
}

/** The rates of a set that could be told. */
export function rowsOf(set: GateSet): GateRow[] {
  const all: (Omit<GateRow, 'rate'> & { rate: GateRate | null })[] = [
    { name: 'Escapes', kind: 'bad', of: set.n_bad, rate: set.escapes },
    { name: 'Overkill', kind: 'good', of: set.n_good, rate: set.overkill },
    { name: 'Held for review', kind: 'labelled', of: set.n_good + set.n_bad, rate: set.reviews },
  ];
  return all.flatMap((row) => (row.rate ? [{ ...row, rate: row.rate }] : []));
}

/** Rates that have no row, and why: a row that is not there must not pass for one that is fine. */
export function untoldOf(gate: Gate): string[] {
  return gate.sets.flatMap((set) => {
    if (set.n_good + set.n_bad === 0) return [`${setWord(set.name)}: no labelled parts to judge by.`];
    return [
      ...(set.escapes || set.n_bad ? [] : [`${setWord(set.name)}: no bad parts to tell escapes by.`]),
      ...(set.overkill || set.n_good ? [] : [`${setWord(set.name)}: no good parts to tell overkill by.`]),
    ];
  });
}

/** What labels are missing before the gate can tell, a sentence for each rate. A set alone may stay open: the gate does not ask. */
export function missingOf(gate: Gate): string[] {
  return gate.sets
    .filter((set) => set.name === POOLED)
    .flatMap(rowsOf)
    .flatMap(({ name, kind, rate }) => (rate.missing ? [`${rate.missing} more ${kind === 'labelled' ? '' : `${kind} `}parts with a label, and the gate can tell about ${name === 'Held for review' ? 'parts held for review' : name.toLowerCase()}.`] : []));
}

export const regressedOf = (gate: Gate) => gate.sets.flatMap((set) => set.classes.filter((c) => c.regressed).map((c) => ({ ...c, set: setWord(set.name) })));

/** A path in the data set as people name the part: the line's own by their number, others by their file. */
export function flipName(key: string): string {
  const id = /^line\/(\d+)\.[^/]*$/.exec(key)?.[1];
  return id ? `#${id}` : key.slice(key.lastIndexOf('/') + 1);
}
