// What the page knows of golden samples, kept fresh: often while samples are being shown.

import { cancelGolden, overrideGolden, readGolden, startGolden, type Golden } from './checks';
import { Doing, wordsOf } from './doing.svelte';

const SHOWN_MS = 500;
const CALM_MS = 5_000;

export class GoldenState extends Doing {
  view = $state.raw<Golden | null>(null);

  /** For as long as the page is open; gives the way to end it. */
  start(): () => void {
    let stopped = false;
    const round = async () => {
      await this.read();
      if (!stopped) timer = setTimeout(round, this.view?.on ? SHOWN_MS : CALM_MS);
    };
    let timer = setTimeout(round, 0);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }

  async read(): Promise<void> {
    try {
      this.view = await readGolden();
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  show = () => this.do(startGolden);
  cancel = () => this.do(() => cancelGolden(null));
  override = (reason: string) => this.do(() => overrideGolden(reason));
}
