// A part's ledger as rows of a waterfall.

import type { Inspection } from './api';

export interface Step {
  name: string;
  /** Microseconds since the trigger. */
  from_us: number;
  to_us: number;
  /** Between stages: the part stood in a queue. */
  waiting: boolean;
}

/** Stages in order, with the waits between them; a wait under this is not worth a row. */
const SHOW_WAIT_FROM_US = 200;

export function stepsOf(ledger: Inspection['ledger']): Step[] {
  const steps: Step[] = [];
  let at = 0;
  for (const mark of [...ledger.marks].sort((a, b) => a.entered_us - b.entered_us)) {
    if (mark.entered_us - at >= SHOW_WAIT_FROM_US) steps.push({ name: 'waiting', from_us: at, to_us: mark.entered_us, waiting: true });
    steps.push({ name: mark.stage, from_us: mark.entered_us, to_us: mark.left_us, waiting: false });
    at = Math.max(at, mark.left_us);
  }
  if (ledger.total_us - at >= SHOW_WAIT_FROM_US) steps.push({ name: 'waiting', from_us: at, to_us: ledger.total_us, waiting: true });
  return steps;
}
