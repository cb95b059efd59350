// What the page knows of drift, kept fresh: the page itself shows all of it, the way to it only whether something has changed.

import { wordsOf } from './doing.svelte';
import { beginDriftAnew, readDrift, type Drift } from './drift';
import { standingOf } from './drift-words';

/** While the page is looked at, and while only its entry in the navigation is. Two weeks of hours are some hundred kilobytes. */
const WATCHED_MS = 20_000;
const UNWATCHED_MS = 5 * 60_000;

class DriftState {
  view = $state.raw<Drift | null>(null);
  /** When that was read, milliseconds. */
  readAt = $state(0);
  /** Why it could not be read. */
  problem = $state.raw<string | null>(null);
  /** What was refused, in the daemon's words. */
  refused = $state.raw<string | null>(null);
  busy = $state(false);
  readonly standing = $derived(this.view && standingOf(this.view));

  #watched = false;
  /** When it was last asked for. */
  #askedAt = 0;
  #deeds = 0;

  /** For as long as the program is open; gives the way to end it. */
  start(): () => void {
    void this.read();
    const clock = setInterval(() => {
      if (Date.now() - this.#askedAt >= (this.#watched ? WATCHED_MS : UNWATCHED_MS)) void this.read();
    }, 5_000);
    return () => clearInterval(clock);
  }

  watch(on: boolean): void {
    this.#watched = on;
    if (on) void this.read();
  }

  async read(): Promise<void> {
    this.#askedAt = Date.now();
    const deeds = this.#deeds;
    try {
      const view = await readDrift();
      // What was asked before a deed does not know of it.
      if (deeds === this.#deeds) this.#take(view);
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  /** The line counts as usual from now on. */
  async beginAnew(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.refused = null;
    this.#deeds += 1;
    try {
      this.#take(await beginDriftAnew());
    } catch (error) {
      this.refused = wordsOf(error);
    } finally {
      this.#deeds += 1;
      this.busy = false;
    }
  }

  #take(view: Drift): void {
    this.view = view;
    this.readAt = Date.now();
    this.problem = null;
  }
}

export const drift = new DriftState();
