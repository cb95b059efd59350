// Drift in an operator's words: whether the line has changed, since when, and where to look.

import type { Drift, DriftGathered, DriftMeasure, DriftReading } from './drift';
import { count, dayMonth, fixed, hourMinute, percent, weekday } from './format';
import { joined, listed, t, type Key } from './say';

/** As they stand on the page: what people look at first comes first. */
export const MEASURES: DriftMeasure[] = ['brightness', 'contrast', 'sharpness', 'embedding', 'scores'];

const OF_PICTURES: ReadonlySet<DriftMeasure> = new Set(['brightness', 'contrast', 'sharpness']);

export interface Named {
  name: string;
  /** What is counted or measured, in a few words. */
  what: string;
  /** What a person would see if it changed. */
  means: string;
}

export const nameOf = (measure: DriftMeasure, knowsItsTraining: boolean): Named => ({
  name: t(`drift.${measure}`),
  what: t(measure === 'embedding' && !knowsItsTraining ? 'drift.embedding.what-own' : `drift.${measure}.what`),
  means: t(`drift.${measure}.means`),
});

/** What is usual is learned apart for the pictures and for the model. */
export const gatheredFor = (drift: Drift, measure: DriftMeasure): DriftGathered => (OF_PICTURES.has(measure) ? drift.usual.pictures : drift.usual.model);

export interface Change {
  reading: DriftReading;
  /** Time of the first part of the unbroken run of hours beyond. */
  since: string;
}

export type Standing =
  /** No part yet. */
  | { kind: 'empty' }
  | { kind: 'learning'; gathered: DriftGathered }
  /** What is usual is known, but too few parts came to say anything now. */
  | { kind: 'quiet'; last: string | null }
  | { kind: 'usual' }
  | { kind: 'changed'; since: string; changes: Change[] };

export function standingOf(drift: Drift): Standing {
  const changes = drift.now.filter((reading) => reading.beyond).map((reading) => ({ reading, since: sinceOf(drift, reading) }));
  if (changes.length) {
    const since = changes.map((change) => change.since).reduce((a, b) => (Date.parse(b) < Date.parse(a) ? b : a));
    return { kind: 'changed', since, changes };
  }
  if (drift.now.length) return { kind: 'usual' };
  if (!drift.product) return { kind: 'empty' };
  const { pictures, model } = drift.usual;
  // Where both are being learned, pictures are in the lead: every part has one, and not every part is the model's to judge.
  if (!pictures.known && !model.known) return { kind: 'learning', gathered: pictures.parts >= model.parts ? pictures : model };
  return { kind: 'quiet', last: drift.hours.at(-1)?.to ?? null };
}

/** Since when a measure is beyond its limits. An hour that says nothing of it is no break; what was before a new usual does not count. */
export function sinceOf(drift: Drift, { measure, from }: Pick<DriftReading, 'measure' | 'from'>): string {
  const begun = Date.parse(gatheredFor(drift, measure).since ?? '');
  let since = from;
  for (let i = drift.hours.length - 1; i >= 0; i--) {
    const reading = drift.hours[i]!.readings.find((reading) => reading.measure === measure);
    if (!reading) continue;
    if (!reading.beyond || Date.parse(reading.from) < begun) break;
    since = reading.from;
  }
  return since;
}

type Way = 'less' | 'more';
const wayOf = ({ value, usual }: DriftReading): Way => (value < usual ? 'less' : 'more');

const PICTURE_WORD = {
  brightness: { less: 'drift.darker', more: 'drift.brighter' },
  contrast: { less: 'drift.flatter', more: 'drift.harsher' },
  sharpness: { less: 'drift.blurred', more: 'drift.sharper' },
} as const satisfies Partial<Record<DriftMeasure, Record<Way, Key>>>;

const pictureWord = (reading: DriftReading) => (reading.measure in PICTURE_WORD ? [t(PICTURE_WORD[reading.measure as keyof typeof PICTURE_WORD][wayOf(reading)])] : []);

/** "pictures are darker and blurred, and parts look unlike what the model learned from". */
export function changeWords(readings: DriftReading[], knowsItsTraining: boolean): string {
  const of = (measure: DriftMeasure) => readings.find((reading) => reading.measure === measure);
  const pictures = MEASURES.flatMap((measure) => {
    const reading = of(measure);
    return reading ? pictureWord(reading) : [];
  });
  const clauses = [
    ...(pictures.length ? [t('drift.pictures-are', { how: listed(pictures) })] : []),
    ...(of('embedding') ? [t(knowsItsTraining ? 'drift.unlike' : 'drift.unlike-own')] : []),
    ...(of('scores') ? [t('drift.otherwise')] : []),
  ];
  return clauses.length < 2 ? clauses.join('') : joined(clauses.slice(0, -1)) + t('drift.and') + clauses.at(-1);
}

const LOOK_AT = {
  brightness: { less: ['drift.the-light', 'drift.the-exposure'], more: ['drift.the-light', 'drift.the-exposure'] },
  contrast: { less: ['drift.the-lens', 'drift.the-light'], more: ['drift.the-light', 'drift.reflections'] },
  sharpness: { less: ['drift.the-focus', 'drift.the-lens'], more: ['drift.the-focus', 'drift.the-surface'] },
} as const satisfies Partial<Record<DriftMeasure, Record<Way, readonly Key[]>>>;

const looksAt = (reading: DriftReading) => (reading.measure in LOOK_AT ? LOOK_AT[reading.measure as keyof typeof LOOK_AT][wayOf(reading)] : []);

/** Where to look first, in a few words. */
export function adviceOf(readings: DriftReading[]): string {
  const places = [...new Set(readings.flatMap(looksAt))].map((place) => t(place));
  return places.length ? t('drift.look-at', { places: listed(places) }) : t('drift.look-at-parts');
}

/** The one sentence. */
export function sentenceOf(standing: Standing, drift: Drift, now: number): string {
  switch (standing.kind) {
    case 'changed':
      return t('drift.changed', { time: moment(standing.since, now), how: changeWords(standing.changes.map((change) => change.reading), drift.knows_its_training) });
    case 'usual':
      return t('drift.usual');
    case 'quiet':
      return t('drift.quiet');
    case 'learning':
      return t('drift.learning', { how: gatheredWords(standing.gathered, drift) });
    case 'empty':
      return t('drift.empty');
  }
}

/** "230 of 500 parts, at least 60 minutes"; once there are enough parts, what is still missing is time. */
export function gatheredWords(gathered: DriftGathered, { usual, hours }: Drift): string {
  const { parts } = gathered;
  if (parts >= usual.parts) return t('drift.gathered-time', { parts, minutes: Math.min(minutesOf(gathered, hours), usual.minutes), n: usual.minutes });
  return usual.minutes ? t('drift.gathered-min', { parts, n: usual.parts, minutes: usual.minutes }) : t('drift.gathered', { parts, n: usual.parts });
}

/** How much of what it takes is there, 0 to 1: parts or minutes, whichever is further behind. */
export function gatheredShare(gathered: DriftGathered, { usual, hours }: Drift): number {
  if (gathered.known) return 1;
  const parts = usual.parts ? gathered.parts / usual.parts : 1;
  const time = usual.minutes ? minutesOf(gathered, hours) / usual.minutes : 1;
  return Math.max(0, Math.min(1, parts, time));
}

/** The clock that counts is the parts' own: minutes in which none came teach nothing. */
function minutesOf({ since }: DriftGathered, hours: Drift['hours']): number {
  const [begun, last] = [Date.parse(since ?? ''), Date.parse(hours.at(-1)?.to ?? '')];
  return last > begun ? Math.floor((last - begun) / 60_000) : 0;
}

/** "14:00", "yesterday 14:00", "Tue 14:00", "3 Mar 14:00". */
export function moment(rfc3339: string | number, now: number): string {
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return String(rfc3339);
  const time = hourMinute(at);
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const days = Math.round((midnight(new Date(now)) - midnight(at)) / 86_400_000);
  if (days === 0) return time;
  if (days === 1) return t('drift.yesterday', { time });
  if (days > 1 && days < 7) return `${weekday(at)} ${time}`;
  return `${dayMonth(at)} ${time}`;
}

/** A value with its unit, no digit more than it can carry. */
export function valueWord(measure: DriftMeasure, value: number): string {
  if (measure === 'embedding') return percent(value);
  if (measure === 'scores') return fixed(value, 2);
  return value >= 1000 ? count(value) : fixed(value, 1);
}

/** Its limits: "10.0%", "115.6 to 141.2". */
export const limitWord = ({ measure, low, high }: DriftReading) => (low === null ? t('drift.limit', { value: valueWord(measure, high) }) : t('drift.limits', { low: valueWord(measure, low), high: valueWord(measure, high) }));
