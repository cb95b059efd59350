// How fast a person labels, and how many today.

/** A pause longer than this ends a run: the pace is that of the work, not of the coffee. */
export const RUN_PAUSE_MS = 30_000;
const LOOK_BACK_MS = 3 * 60_000;
const ENOUGH = 3;

/** Labels per minute in the run that is going on, or null where none is. */
export function paceOf(times: readonly number[], now: number): number | null {
  const recent = times.filter((at) => now - at <= LOOK_BACK_MS && at <= now).sort((a, b) => b - a);
  if (recent[0] === undefined || now - recent[0] > RUN_PAUSE_MS) return null;
  let last = 0;
  while (recent[last + 1] !== undefined && recent[last]! - recent[last + 1]! <= RUN_PAUSE_MS) last += 1;
  const span = recent[0] - recent[last]!;
  return last + 1 >= ENOUGH && span > 0 ? (last / span) * 60_000 : null;
}

export interface Tally {
  /** Local date, as "2026-03-01". */
  day: string;
  count: number;
}

export const dayOf = (at: number) => new Date(at).toLocaleDateString('en-CA');

/** One more or one less on the day of `at`; a new day begins at nothing. */
export function tallied(tally: Tally | null, by: number, at: number): Tally {
  const day = dayOf(at);
  return { day, count: Math.max(0, (tally?.day === day ? tally.count : 0) + by) };
}
