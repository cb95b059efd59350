// What the replay page shows: replays, the one that is looked at, the question in the form, and what a person told them to do.

import { Doing, wordsOf } from './doing.svelte';
import { blank, cancelReplay, deleteReplay, readReplay, readReplays, startReplay, type NewReplay, type Question, type Replay, type ReplayDetail } from './replays';

/** While one runs its progress is asked for. */
const PROGRESS_MS = 1_000;
const REREAD_MS = 15_000;

class ReplaysState extends Doing {
  replays = $state.raw<Replay[] | null>(null);
  /** Of the replay that is picked. */
  detail = $state.raw<ReplayDetail | null>(null);
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

  ask = (question: NewReplay) => this.do(() => startReplay(question));
  cancel = (id: number) => this.do(() => cancelReplay(id));
  remove = (id: number) =>
    this.do(async () => {
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
}

export const replays = new ReplaysState();
