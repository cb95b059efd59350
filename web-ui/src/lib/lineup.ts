// The order in which parts come before the person who labels: what came back first, then the daemon's queue, less what has
// been answered here. The part on the screen stays whatever the daemon sends meanwhile.

import type { QueueItem } from './learning';

export class Lineup {
  #front: QueueItem[] = [];
  #queue: QueueItem[] = [];
  /** Answered here; the number of the ask after which the daemon's word about them counts again, null until it has the answer. */
  #answered = new Map<number, number | null>();
  #asks = 0;
  #taken = 0;
  #at: number | null = null;

  /** In order, each once. */
  get items(): QueueItem[] {
    const front = new Set(this.#front.map((item) => item.id));
    return [...this.#front, ...this.#queue.filter((item) => !front.has(item.id) && !this.#answered.has(item.id))];
  }

  get current(): QueueItem | null {
    return this.items.find((item) => item.id === this.#at) ?? null;
  }

  /** Place of the current one among `items`; -1 where there is none. */
  get place(): number {
    return this.items.findIndex((item) => item.id === this.#at);
  }

  /** The current one's successors. */
  next(count: number): QueueItem[] {
    return this.items.slice(this.place + 1, this.place + 1 + count);
  }

  /** Before the queue is asked for: what was answered after this does not show in the reply. */
  ask(): number {
    return ++this.#asks;
  }

  /** The daemon's queue, as the ask of that number found it. */
  take(items: readonly QueueItem[], ask: number): void {
    // An older reply that was slow on its way.
    if (ask < this.#taken) return;
    this.#taken = ask;
    const current = this.current;
    for (const [id, since] of this.#answered) if (since !== null && ask > since) this.#answered.delete(id);
    // Somebody else may have answered it meanwhile; under a person's eyes it stays until they move.
    const gone = current && !items.some((item) => item.id === current.id) && !this.#front.some((item) => item.id === current.id);
    this.#queue = gone ? [current, ...items] : [...items];
    if (!this.current) this.#at = this.items[0]?.id ?? null;
  }

  /** It has an answer now: the one after it comes up, or the first where it was the last. */
  answered(id: number): void {
    const items = this.items;
    const place = items.findIndex((item) => item.id === id);
    this.#answered.set(id, null);
    this.#front = this.#front.filter((item) => item.id !== id);
    if (this.#at !== id) return;
    this.#at = items[place + 1]?.id ?? items.find((item) => item.id !== id)?.id ?? null;
  }

  /** The daemon has the answer. */
  settled(id: number): void {
    if (this.#answered.has(id)) this.#answered.set(id, this.#asks);
  }

  /** Taken back or refused: it comes up again, before all others. */
  back(item: QueueItem): void {
    this.#answered.delete(item.id);
    this.#front = [item, ...this.#front.filter((other) => other.id !== item.id)];
    this.#at = item.id;
  }

  /** To another part, without an answer. */
  walk(by: number): void {
    const items = this.items;
    const to = Math.min(items.length - 1, Math.max(0, this.place + by));
    this.#at = items[to]?.id ?? null;
  }

  goTo(id: number): void {
    if (this.items.some((item) => item.id === id)) this.#at = id;
  }
}
