// Which part the big picture shows. At ten parts a second a rejected part would be gone before anyone could look up, so a
// part that did not pass stays for a moment; passes only follow each other as fast as the eye can take.

import type { Inspection } from './api';

export interface DwellTimes {
  passMs: number;
  abnormalMs: number;
}

/** Four pictures a second are more than anyone looks at, and all that a screen asks of the daemon. */
export const DWELL: DwellTimes = { passMs: 250, abnormalMs: 2_000 };

export class Dwell {
  #shown: Inspection | null = null;
  #shownAt = 0;
  #newest: Inspection | null = null;
  #newestAbnormal: Inspection | null = null;

  constructor(private readonly times: DwellTimes = DWELL) {}

  /** A part with its verdict arrived. Parts older than the newest (a resumed stream may repeat) are not news. */
  offer(part: Inspection): void {
    if (this.#newest && part.id <= this.#newest.id) return;
    this.#newest = part;
    if (part.verdict !== 'pass') this.#newestAbnormal = part;
  }

  /** The part to show at `now` (milliseconds). After a hold, the newest abnormal part seen meanwhile goes first. */
  next(now: number): Inspection | null {
    if (this.#shown && now - this.#shownAt < this.#holdMs()) return this.#shown;
    const abnormal = this.#newestAbnormal;
    const pick = abnormal && abnormal.id > (this.#shown?.id ?? -1) ? abnormal : this.#newest;
    if (pick && pick.id !== this.#shown?.id) {
      this.#shown = pick;
      this.#shownAt = now;
    }
    return this.#shown;
  }

  /** Whether newer parts have been decided than the one shown. */
  get behind(): boolean {
    return this.#shown !== null && this.#newest !== null && this.#newest.id > this.#shown.id;
  }

  #holdMs(): number {
    return this.#shown?.verdict === 'pass' ? this.times.passMs : this.times.abnormalMs;
  }
}
