// The law of the line: every trigger ends in exactly one verdict.

import type { Counts } from './api';

/** Parts with a verdict. */
export const decided = (c: Counts) => c.pass + c.fail + c.review + c.no_decision;

/** `triggered` less everything it must equal: 0 when the law holds. */
export const unaccounted = (c: Counts) => c.triggered - decided(c) - c.in_flight;

/** Share of decided parts that passed, or null before the first verdict. */
export function yieldOf(c: Pick<Counts, 'pass' | 'fail' | 'review' | 'no_decision'>): number | null {
  const all = c.pass + c.fail + c.review + c.no_decision;
  return all === 0 ? null : c.pass / all;
}
