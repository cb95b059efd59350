// Learning in an operator's words.

import type { Gate, GateRate, GateSet, Job, Learning, Model, QueueItem, QueueReason } from './learning';
import { labelWord } from './words';

const REASON: Record<QueueReason, string> = {
  low_margin: 'The model can hardly tell two labels apart',
  heads_disagree: 'Two ways of judging this part disagree',
  unlike: 'It looks like nothing that has been labelled yet',
  drifted: 'Pictures look different from those the model learned from',
  audit: 'Picked at random, to check the line',
  override: 'Somebody corrected the verdict',
  second_opinion: 'A second opinion, to see how far people agree',
};

export const reasonWord = (reason: string) => REASON[reason as QueueReason] ?? labelWord(reason);

/** "scratch 0.52, edge chip 0.47" and the like stand after the words, where there are any. */
export const reasonsOf = (item: Pick<QueueItem, 'reasons'>) => item.reasons.map(({ reason, detail }) => ({ words: reasonWord(reason), detail: detail.replaceAll('_', ' ').trim() || null }));

const REASON_SHORT: Record<QueueReason, string> = {
  low_margin: 'close call',
  heads_disagree: 'heads disagree',
  unlike: 'unlike others',
  drifted: 'drifted',
  audit: 'audit',
  override: 'corrected',
  second_opinion: 'second opinion',
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

export const SET_WORD: Record<GateSet['name'], string> = { golden: 'Golden set', newest: 'Newest labels', shadow: 'Shadow run' };

const STAGE_WORD = { head: 'the head', all_layers: 'all layers' } as const;
export const stageWord = (stage: string) => STAGE_WORD[stage as keyof typeof STAGE_WORD] ?? labelWord(stage).toLowerCase();

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

/** What labels are missing before the gate can tell, a sentence for each set and rate. */
export function missingOf(gate: Gate): string[] {
  return gate.sets.flatMap((set) => {
    const rates: [string, string, GateRate][] = [['escapes', 'bad', set.escapes], ['overkill', 'good', set.overkill]];
    return rates.flatMap(([what, kind, rate]) =>
      rate.missing ? [`${SET_WORD[set.name] ?? set.name}: ${rate.missing} more ${kind} parts with a label, and the gate can tell about ${what}.`] : [],
    );
  });
}

export const regressedOf = (gate: Gate) => gate.sets.flatMap((set) => set.classes.filter((c) => c.regressed).map((c) => ({ ...c, set: SET_WORD[set.name] ?? set.name })));
