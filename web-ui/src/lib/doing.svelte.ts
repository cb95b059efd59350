// What a page does at a person's word, one thing at a time, and what came of it, in the daemon's words.

export abstract class Doing {
  /** Why what the page shows could not be read. */
  problem = $state.raw<string | null>(null);
  /** What was refused. */
  refused = $state.raw<string | null>(null);
  busy = $state(false);

  abstract read(): Promise<void>;

  /** What was done, or nothing. One at a time: a button pressed twice must not do twice. */
  protected async do<T>(act: () => Promise<T>): Promise<T | null> {
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

export const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
