// Drift in an operator's words: whether the line has changed, since when, and where to look.

import type { Drift, DriftGathered, DriftMeasure, DriftReading } from './drift';
import { count } from './format';

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

export function nameOf(measure: DriftMeasure, knowsItsTraining: boolean): Named {
  const own = knowsItsTraining ? 'what the model learned from' : 'the line’s first parts';
  const NAMES: Record<DriftMeasure, Named> = {
    brightness: { name: 'Brightness', what: 'grey level, median', means: 'the light fades, the exposure is another' },
    contrast: { name: 'Contrast', what: 'spread of grey levels, median', means: 'the lens fogs, the light comes from elsewhere' },
    sharpness: { name: 'Sharpness', what: 'Laplacian’s variance, median', means: 'the focus moves, the lens is dirty' },
    embedding: { name: 'Looks', what: `share of parts far from ${own}`, means: 'the parts are others: material, tool, supplier' },
    scores: { name: 'Scores', what: 'stability index (PSI) of the model’s scores', means: 'the model finds parts better or worse than usual' },
  };
  return NAMES[measure];
}

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

const PICTURE_WORD: Partial<Record<DriftMeasure, Record<Way, string>>> = {
  brightness: { less: 'darker', more: 'brighter' },
  contrast: { less: 'flatter', more: 'harsher' },
  sharpness: { less: 'blurred', more: 'sharper' },
};

/** "a", "a and b", "a, b and c". */
const listed = (words: string[], last = ' and ') => (words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')}${last}${words.at(-1)}`);

/** "pictures are darker and blurred, and parts look unlike what the model learned from". */
export function changeWords(readings: DriftReading[], knowsItsTraining: boolean): string {
  const of = (measure: DriftMeasure) => readings.find((reading) => reading.measure === measure);
  const pictures = MEASURES.flatMap((measure) => {
    const reading = of(measure);
    return (reading && PICTURE_WORD[measure]?.[wayOf(reading)]) ?? [];
  });
  const clauses = [
    ...(pictures.length ? [`pictures are ${listed(pictures)}`] : []),
    ...(of('embedding') ? [`parts look unlike ${knowsItsTraining ? 'what the model learned from' : 'the line’s first ones'}`] : []),
    ...(of('scores') ? ['the model finds parts otherwise than usual'] : []),
  ];
  return listed(clauses, ', and ');
}

const LOOK_AT: Partial<Record<DriftMeasure, Record<Way, string[]>>> = {
  brightness: { less: ['the light', 'the exposure'], more: ['the light', 'the exposure'] },
  contrast: { less: ['the lens (dirt, fog)', 'the light'], more: ['the light', 'reflections'] },
  sharpness: { less: ['the focus', 'the lens (dirt, fog)'], more: ['the focus', 'the parts’ surface'] },
};

/** Where to look first, in a few words. */
export function adviceOf(readings: DriftReading[]): string {
  const places = [...new Set(readings.flatMap((reading) => LOOK_AT[reading.measure]?.[wayOf(reading)] ?? []))];
  return places.length ? `Look at ${listed(places)}.` : 'Look at the parts: other material, another supplier, a worn tool.';
}

/** The one sentence. */
export function sentenceOf(standing: Standing, drift: Drift, now: number): string {
  switch (standing.kind) {
    case 'changed':
      return `Changed since ${moment(standing.since, now)}: ${changeWords(standing.changes.map((change) => change.reading), drift.knows_its_training)}`;
    case 'usual':
      return 'As usual';
    case 'quiet':
      return 'Too few parts to tell';
    case 'learning':
      return `Learning what is usual: ${gatheredWords(standing.gathered, drift)}`;
    case 'empty':
      return 'No part yet';
  }
}

/** "230 of 500 parts, at least 60 minutes"; once there are enough parts, what is still missing is time. */
export function gatheredWords(gathered: DriftGathered, { usual, hours }: Drift): string {
  if (gathered.parts < usual.parts) return `${count(gathered.parts)} of ${count(usual.parts)} parts${usual.minutes ? `, at least ${usual.minutes} minutes` : ''}`;
  return `${count(gathered.parts)} parts, ${Math.min(minutesOf(gathered, hours), usual.minutes)} of ${usual.minutes} minutes`;
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
  const time = at.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const days = Math.round((midnight(new Date(now)) - midnight(at)) / 86_400_000);
  if (days === 0) return time;
  if (days === 1) return `yesterday ${time}`;
  if (days > 1 && days < 7) return `${at.toLocaleDateString('en-GB', { weekday: 'short' })} ${time}`;
  return `${at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}

/** A value with its unit, no digit more than it can carry. */
export function valueWord(measure: DriftMeasure, value: number): string {
  if (measure === 'embedding') return `${(100 * value).toFixed(1)} %`;
  if (measure === 'scores') return value.toFixed(2);
  return value >= 1000 ? count(value) : value.toFixed(1);
}

/** Its limits: "10.0 %", "115.6 to 141.2". */
export const limitWord = ({ measure, low, high }: DriftReading) => (low === null ? `limit ${valueWord(measure, high)}` : `limits ${valueWord(measure, low)} to ${valueWord(measure, high)}`);
