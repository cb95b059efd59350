// Machine, PLC and alerts, kept fresh while the page is open.

import type { Alerts } from './api';
import { ApiError } from './api';
import { Doing, wordsOf } from './doing.svelte';
import { readAlerts, readHealth, readPlc, type MachineHealth, type Plc } from './health';

const EVERY_MS = 2_000;

export class HealthState extends Doing {
  machine = $state.raw<MachineHealth | null>(null);
  alerts = $state.raw<Alerts | null>(null);
  /** Null: this line has none, or it is not known yet. */
  plc = $state.raw<Plc | null>(null);

  start(): () => void {
    void this.read();
    const clock = setInterval(() => void this.read(), EVERY_MS);
    return () => clearInterval(clock);
  }

  async read(): Promise<void> {
    try {
      const none = (error: unknown) => {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      };
      const [machine, alerts, plc] = await Promise.all([readHealth(), readAlerts(), readPlc().catch(none)]);
      this.machine = machine;
      this.alerts = alerts;
      this.plc = plc;
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }
}
