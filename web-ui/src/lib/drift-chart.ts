// Where things stand in a chart of drift: its window of time, its scale, its ticks, and the runs of hours that hang together.

import type { Drift, DriftHour, DriftMeasure, DriftReading } from './drift';
import { dayMonth, hourMinute, weekday } from './format';

const HOUR_MS = 3_600_000;

export const WINDOWS = [24, 72, 336] as const;
export type WindowHours = (typeof WINDOWS)[number];

/** The smallest window in which a change is seen to begin, with some of what was before it. */
export function windowFor(since: string | null, now: number): WindowHours {
  const age = since ? (now - Date.parse(since)) / HOUR_MS : 0;
  return WINDOWS.find((hours) => age < 0.75 * hours) ?? 336;
}

/** Where a window that ends now begins. */
export const rangeStart = (now: number, hours: WindowHours) => now - hours * HOUR_MS;

/** An hour in a chart; without a reading nothing could be said of it. */
export interface Spot {
  hour: DriftHour;
  reading: DriftReading | null;
  from: number;
  to: number;
  /** Its middle. */
  at: number;
}

export function spotsOf(hours: Drift['hours'], measure: DriftMeasure, from: number): Spot[] {
  return hours.flatMap((hour) => {
    const [begin, end] = [Date.parse(hour.from), Date.parse(hour.to)];
    if (!(end >= from)) return [];
    return [{ hour, reading: hour.readings.find((reading) => reading.measure === measure) ?? null, from: begin, to: end, at: (begin + end) / 2 }];
  });
}

export type Told = Spot & { reading: DriftReading };

/** Hours that follow each other and of which something is said. Where the line stood still for an hour, or nothing could be said, a run ends. */
export function runsOf(spots: Spot[]): Told[][] {
  const runs: Told[][] = [];
  let last: Spot | null = null;
  for (const spot of spots) {
    const told = spot.reading !== null;
    if (told && last?.reading && spot.from - last.to <= HOUR_MS) runs.at(-1)!.push(spot as Told);
    else if (told) runs.push([spot as Told]);
    last = spot;
  }
  return runs;
}

/** All values, what is usual and the limits, with some air. Shares and indices begin at nothing. */
export function rangeOf(spots: Spot[], fromZero: boolean): [number, number] {
  const all = spots.flatMap(({ reading }) => (reading ? [reading.value, reading.usual, reading.high, ...(reading.low === null ? [] : [reading.low])] : []));
  if (!all.length) return [0, 1];
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const air = 0.1 * (most - least || Math.abs(most) || 1);
  return [fromZero ? 0 : least - air, most + air];
}

/** About three round numbers. */
export function ticksOf([low, high]: [number, number]): number[] {
  const rough = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough) ?? rough;
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step);
  return ticks;
}

export interface TimeTick {
  at: number;
  word: string;
}

const EVERY_H: Record<WindowHours, number> = { 24: 6, 72: 12, 336: 48 };

/** By the wall's clock, so that a day of 23 or 25 hours has its ticks at its own hours. */
export function timeTicksOf(from: number, to: number, hours: WindowHours): TimeTick[] {
  const start = new Date(from);
  const every = EVERY_H[hours];
  const ticks = [];
  for (let h = 0; ; h += every) {
    const at = new Date(start.getFullYear(), start.getMonth(), start.getDate(), h);
    if (at.getTime() > to) return ticks;
    if (at.getTime() >= from) ticks.push({ at: at.getTime(), word: wordOf(at, hours) });
  }
}

function wordOf(at: Date, hours: WindowHours): string {
  if (hours === 336) return dayMonth(at);
  if (at.getHours() === 0) return weekday(at);
  return hourMinute(at);
}

/** The hour nearest to a time. */
export function nearest<T extends { at: number }>(spots: T[], at: number): T | null {
  return spots.reduce<T | null>((best, spot) => (best && Math.abs(best.at - at) <= Math.abs(spot.at - at) ? best : spot), null);
}
