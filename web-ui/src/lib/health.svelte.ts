// Machine, PLC and alerts, kept fresh while the page is open.

import type { Alerts } from './api';
import { Doing, wordsOf } from './doing.svelte';
import { readAlerts, readHealth, type MachineHealth } from './health';

const EVERY_MS = 2_000;

export class HealthState extends Doing {
  machine = $state.raw<MachineHealth | null>(null);
  alerts = $state.raw<Alerts | null>(null);

  start(): () => void {
    void this.read();
    const clock = setInterval(() => void this.read(), EVERY_MS);
    return () => clearInterval(clock);
  }

  async read(): Promise<void> {
    try {
      [this.machine, this.alerts] = await Promise.all([readHealth(), readAlerts()]);
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }
}
