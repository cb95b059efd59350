// Everything the screen shows of one part to label, read ahead of time.

import { imageUrl, readInspection, type Inspection } from './api';
import { readQueueItem, type Neighbour } from './learning';
import { loadPicture, PICTURE_RETRIES_MS, type Picture } from './live.svelte';

/** When to ask again for labelled parts like it, where there were none. */
const NEIGHBOUR_RETRIES_MS = [1_000, 3_000];

export class Card {
  picture = $state.raw<Picture | null>(null);
  record = $state.raw<Inspection | null>(null);
  /** Null until they are read, or where they could not be. */
  neighbours = $state.raw<Neighbour[] | null>(null);
  problem = $state.raw<string | null>(null);
  /** Picture and record have both come, or will not. */
  settled = $state(false);

  constructor(readonly id: number) {
    void this.#load();
  }

  async #load(): Promise<void> {
    // The picture is what a person waits for; the neighbours may follow.
    const picture = loadPicture(imageUrl(this.id), PICTURE_RETRIES_MS).then((picture) => (this.picture = picture));
    const record = readInspection(this.id)
      .then((record) => {
        this.record = record;
        if (!record.has_image) this.picture ??= 'not_kept';
      })
      .catch((error: unknown) => (this.problem = error instanceof Error ? error.message : String(error)));
    void this.#loadNeighbours();
    await Promise.all([picture, record]);
    this.settled = true;
  }

  // The model in force may have to look at the part first: asking has it do so.
  async #loadNeighbours(): Promise<void> {
    for (const wait of [0, ...NEIGHBOUR_RETRIES_MS]) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      // A part that is not in the queue has none, and that is no problem.
      this.neighbours = await readQueueItem(this.id).then((detail) => detail.neighbours).catch(() => []);
      if (this.neighbours.length) return;
    }
  }
}
