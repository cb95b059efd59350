// The list of the page History: pages come one after the other, each once, as they are scrolled to.

import { wordsOf } from './doing.svelte';
import { isLikeness, queryOf, readCount, readFound, readKnown, readPage, rowOf, type Asked, type Known, type Row, type Understood } from './history';

const PAGE = 60;
/** Parts of a search by likeness: further down nobody looks. */
const FOUND = 120;

export class HistoryState {
  rows = $state.raw<Row[]>([]);
  /** How many match; null while they are counted. */
  count = $state.raw<number | null>(null);
  known = $state.raw<Known | null>(null);
  /** Nothing older is left. */
  whole = $state(false);
  reading = $state(false);
  rebuilding = $state(false);
  problem = $state.raw<string | null>(null);
  /** The list is in the order of likeness, and not of time. */
  byLikeness = $state(false);
  /** What the words that were asked for are understood as, and those that are not. */
  understood = $state.raw<Understood[]>([]);
  unknown = $state.raw<string[]>([]);
  /** The picture whose like is shown; null: none. */
  picture = $state.raw<Blob | null>(null);

  #asked: Asked = {};
  #next: number | null = null;
  /** Grows with every question: an answer to an earlier one is dropped. */
  #question = 0;

  /** Asks anew; the list begins with its newest part, or with the one that is most like what is looked for. */
  ask(asked: Asked, picture: Blob | null = null): void {
    this.#asked = asked;
    this.picture = picture;
    this.byLikeness = picture !== null || isLikeness(asked);
    this.understood = [];
    this.unknown = [];
    this.#question += 1;
    this.#next = null;
    this.rows = [];
    this.whole = false;
    this.reading = false;
    this.problem = null;
    this.count = null;
    void this.more();
    if (!this.byLikeness) void this.#count();
    void this.#know();
  }

  /** The next page. */
  async more(): Promise<void> {
    if (this.reading || this.whole) return;
    const question = this.#question;
    this.reading = true;
    try {
      if (this.byLikeness) {
        const found = await readFound(this.#asked, this.picture, FOUND);
        if (question !== this.#question) return;
        this.rows = found.items.map(({ part, likeness }) => rowOf(part, likeness));
        this.count = this.rows.length;
        this.understood = found.understood;
        this.unknown = found.unknown;
        this.whole = true;
        this.rebuilding = found.rebuilding;
        this.problem = null;
        return;
      }
      const page = await readPage(this.#asked, this.#next, PAGE);
      if (question !== this.#question) return;
      this.rows = [...this.rows, ...page.items.map((part) => rowOf(part))];
      this.#next = page.next;
      this.whole = page.next === null;
      this.rebuilding = page.rebuilding;
      this.problem = null;
    } catch (error) {
      if (question === this.#question) this.problem = wordsOf(error);
    } finally {
      if (question === this.#question) this.reading = false;
    }
    // A rare match is looked for in bounded steps: a page may be empty and yet have a next.
    if (question === this.#question && !this.problem && this.rows.length === 0 && !this.whole) void this.more();
  }

  async #count(): Promise<void> {
    const question = this.#question;
    try {
      const { parts } = await readCount(this.#asked);
      if (question === this.#question) this.count = parts;
    } catch (error) {
      console.warn(`parts that match ${queryOf(this.#asked)} could not be counted:`, error);
    }
  }

  async #know(): Promise<void> {
    try {
      this.known = await readKnown();
    } catch (error) {
      console.warn('names that occur in records could not be read:', error);
    }
  }
}
