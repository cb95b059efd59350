// Holds over one part: what must not be let go.

import { read, send } from './api';
import { Doing, wordsOf } from './doing.svelte';
import type { components } from './schema';

type Schemas = components['schemas'];

export type Hold = Schemas['Hold'];

export class HoldsState extends Doing {
  holds = $state.raw<Hold[]>([]);
  #id: number | null = null;

  of(id: number): Promise<void> {
    if (this.#id !== id) this.holds = [];
    this.#id = id;
    this.refused = null;
    return this.read();
  }

  async read(): Promise<void> {
    const id = this.#id;
    if (id === null) return;
    try {
      const { holds } = await read<Schemas['Holds']>(`/holds?part=${id}`);
      if (id === this.#id) this.holds = holds;
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  put = async (reason: string) => (await this.do(() => send<Hold>('POST', '/holds', { of: { part: this.#id }, reason }))) !== null;

  lift = async (number: number, reason: string) => (await this.do(() => send<Hold>('POST', `/holds/${number}/lift`, { reason }))) !== null;
}
