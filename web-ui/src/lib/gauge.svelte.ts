// What the page knows of gauge studies, kept fresh: often while a study takes parts.

import { collectStudy, planStudy, rateParts, readStudies, readStudy, removeStudy, voidRating, type GaugePlan, type GaugeStudies, type GaugeStudy, type Known } from './checks';
import { Doing, wordsOf } from './doing.svelte';

const TAKES_MS = 700;
const CALM_MS = 6_000;

export class GaugeState extends Doing {
  studies = $state.raw<GaugeStudies | null>(null);
  /** The study that is looked at. */
  study = $state.raw<GaugeStudy | null>(null);
  #wanted: number | null = null;

  start(): () => void {
    let stopped = false;
    const round = async () => {
      await this.read();
      if (!stopped) timer = setTimeout(round, this.studies?.on ? TAKES_MS : CALM_MS);
    };
    let timer = setTimeout(round, 0);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }

  async read(): Promise<void> {
    try {
      const wanted = this.#wanted;
      const [studies, study] = await Promise.all([readStudies(), wanted === null ? null : readStudy(wanted).catch(() => null)]);
      this.studies = studies;
      if (wanted === this.#wanted) this.study = study;
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  async pick(number: number | null): Promise<void> {
    if (number === this.#wanted) return;
    this.#wanted = number;
    this.study = null;
    await this.read();
  }

  plan = (plan: GaugePlan) => this.do(() => planStudy(plan));
  collect = (number: number, on: boolean) => this.do(() => collectStudy(number, on));
  void = (number: number) => this.do(() => voidRating(number));
  rate = (number: number, appraiser: string, part: number, repeat: number, rating: Known) => this.do(() => rateParts(number, appraiser, [{ part, repeat, rating }]));
  remove = (number: number) =>
    this.do(async () => {
      await removeStudy(number);
      return true;
    });
}
