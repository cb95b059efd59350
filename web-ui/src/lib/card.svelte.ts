// Everything the screen shows of one part to label, read ahead of time.

import { imageUrl, readInspection, type Inspection } from './api';
import { readQueueItem, type Neighbour } from './learning';
import { loadPicture, PICTURE_RETRIES_MS, type Picture } from './live.svelte';

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
    // A part that is not in the queue has none, and that is no problem.
    void readQueueItem(this.id)
      .then((detail) => (this.neighbours = detail.neighbours))
      .catch(() => (this.neighbours = []));
    await Promise.all([picture, record]);
    this.settled = true;
  }
}
