// What the replay page shows: replays, the one that is looked at, the question in the form, and what a person told them to do.

import { blank, cancelReplay, deleteReplay, readReplay, readReplays, startReplay, type NewReplay, type Question, type Replay, type ReplayDetail } from './replays';

/** While one runs its progress is asked for. */
const PROGRESS_MS = 1_000;
const REREAD_MS = 15_000;

class ReplaysState {
  replays = $state.raw<Replay[] | null>(null);
  /** Of the replay that is picked. */
  detail = $state.raw<ReplayDetail | null>(null);
  /** Why they could not be read. */
  problem = $state.raw<string | null>(null);
  /** What was refused, in the daemon's words. */
  refused = $state.raw<string | null>(null);
  busy = $state(false);
  /** Stays while somebody looks at an answer, or at another page. */
  question = $state<Question>(blank());

  #wanted: number | null = null;

  start(): () => void {
    void this.read();
    const progress = setInterval(() => {
      if (this.replays?.some((replay) => replay.state === 'running')) void this.read();
    }, PROGRESS_MS);
    const reread = setInterval(() => void this.read(), REREAD_MS);
    return () => {
      clearInterval(progress);
      clearInterval(reread);
    };
  }

  async read(): Promise<void> {
    try {
      this.replays = (await readReplays()).replays;
      await this.#readDetail();
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  /** The replay whose report is wanted. */
  async pick(id: number | null): Promise<void> {
    if (id === this.#wanted) return;
    this.#wanted = id;
    this.detail = null;
    this.refused = null;
    await this.#readDetail().catch((error: unknown) => (this.problem = wordsOf(error)));
  }

  ask = (question: NewReplay) => this.#do(() => startReplay(question));
  cancel = (id: number) => this.#do(() => cancelReplay(id));
  remove = (id: number) =>
    this.#do(async () => {
      await deleteReplay(id);
      if (this.#wanted === id) this.#wanted = this.detail = null;
      return true;
    });

  /** A report does not change, so it is read once. */
  async #readDetail(): Promise<void> {
    const id = this.#wanted;
    const known = this.replays?.find((replay) => replay.id === id);
    if (id === null || !known || known.state === 'running') return;
    if (this.detail?.id === id && this.detail.state === known.state && this.detail.created_at === known.created_at) return;
    const detail = await readReplay(id);
    if (id === this.#wanted) this.detail = detail;
  }

  /** One at a time: a button pressed twice asks once. */
  async #do<T>(act: () => Promise<T>): Promise<T | null> {
    if (this.busy) return null;
    this.busy = true;
    this.refused = null;
    try {
      const done = await act();
      await this.read();
      return done;
    } catch (error) {
      this.refused = wordsOf(error);
      await this.read();
      return null;
    } finally {
      this.busy = false;
    }
  }
}

export const replays = new ReplaysState();

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
