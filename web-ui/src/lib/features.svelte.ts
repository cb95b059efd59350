// What the page of features shows: the newest map, its points, what is chosen in it, and what a person told them to do.

import { Doing, wordsOf } from './doing.svelte';
import { AT_ONCE, cancelMap, drawMap, readMap, readPoints, sendToReview, type FeatureMap, type Points, type SentToReview } from './features';

/** While one is drawn its progress is asked for. */
const PROGRESS_MS = 1_000;
const REREAD_MS = 15_000;

class FeaturesState extends Doing {
  /** Undefined: not read yet; null: nobody has asked for one. */
  map = $state.raw<FeatureMap | null | undefined>(undefined);
  points = $state.raw<Points | null>(null);
  /** Places in the points' lists. */
  chosen = $state.raw<ReadonlySet<number>>(new Set());
  /** What became of the last that were sent. */
  sent = $state.raw<SentToReview | null>(null);

  #pointsOf: string | null = null;

  start(): () => void {
    void this.read();
    const progress = setInterval(() => {
      if (this.map?.state === 'running') void this.read();
    }, PROGRESS_MS);
    const reread = setInterval(() => void this.read(), REREAD_MS);
    return () => {
      clearInterval(progress);
      clearInterval(reread);
    };
  }

  async read(): Promise<void> {
    try {
      this.map = (await readMap()).map;
      await this.#readPoints();
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  draw = (limit: number) => this.do(() => drawMap(limit));
  cancel = () => this.do(() => cancelMap());

  choose(places: Iterable<number>, add = false): void {
    this.chosen = new Set(add ? [...this.chosen, ...places] : places);
    this.sent = null;
  }

  toggle(place: number): void {
    const chosen = new Set(this.chosen);
    if (!chosen.delete(place)) chosen.add(place);
    this.choose(chosen);
  }

  /** Sends what is chosen to the review queue. */
  async review(): Promise<void> {
    const points = this.points;
    if (!points) return;
    const ids = [...this.chosen].map((place) => points.ids[place]!);
    const sent = await this.do(async () => {
      const sum = { queued: 0, waiting: 0, without_picture: 0, checks: 0, unknown: 0 };
      for (let from = 0; from < ids.length; from += AT_ONCE) {
        const part = await sendToReview(ids.slice(from, from + AT_ONCE));
        for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += part[key];
      }
      return sum;
    });
    if (!sent) return;
    this.chosen = new Set();
    this.sent = sent;
    this.#pointsOf = null;
    await this.read();
  }

  /** A map's places do not change, so they are read once; what people said of its parts is read with them. */
  async #readPoints(): Promise<void> {
    const map = this.map;
    if (map?.state !== 'done') {
      if (map?.state !== 'running') this.points = this.#pointsOf = null;
      return;
    }
    if (this.#pointsOf === map.created_at) return;
    const points = await readPoints();
    if (this.points?.ids.join() !== points.ids.join()) this.chosen = new Set();
    this.#pointsOf = map.created_at;
    this.points = points;
  }
}

export const features = new FeaturesState();
