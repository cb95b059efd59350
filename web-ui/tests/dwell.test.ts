import { describe, expect, it } from 'vitest';
import type { Verdict } from '../src/lib/api';
import { Dwell } from '../src/lib/dwell';
import { part } from './parts';

const TIMES = { passMs: 100, abnormalMs: 2_000 };
const of = (id: number, verdict: Verdict = 'pass') => part({ id, verdict });

describe('Dwell', () => {
  it('follows passes no faster than the eye takes', () => {
    const dwell = new Dwell(TIMES);
    dwell.offer(of(1));
    expect(dwell.next(0)?.id).toBe(1);
    for (let id = 2; id <= 6; id++) dwell.offer(of(id));
    expect(dwell.next(50)?.id).toBe(1);
    expect(dwell.next(100)?.id).toBe(6);
  });

  it('holds a part that did not pass, and says that it lags', () => {
    const dwell = new Dwell(TIMES);
    dwell.offer(of(1, 'fail'));
    dwell.next(0);
    expect(dwell.behind).toBe(false);
    dwell.offer(of(2));
    expect(dwell.next(1_900)?.id).toBe(1);
    expect(dwell.behind).toBe(true);
    expect(dwell.next(2_000)?.id).toBe(2);
    expect(dwell.behind).toBe(false);
  });

  it('shows a reject that a burst of passes overtook', () => {
    const dwell = new Dwell(TIMES);
    dwell.offer(of(1));
    dwell.next(0);
    dwell.offer(of(2, 'fail'));
    dwell.offer(of(3));
    expect(dwell.next(100)?.id).toBe(2);
  });

  it('never goes back to an older part', () => {
    const dwell = new Dwell(TIMES);
    dwell.offer(of(5));
    dwell.next(0);
    dwell.offer(of(4, 'fail')); // a resumed stream repeats
    expect(dwell.next(10_000)?.id).toBe(5);
  });

  it('does not show the same reject twice', () => {
    const dwell = new Dwell(TIMES);
    dwell.offer(of(1, 'fail'));
    dwell.next(0);
    dwell.offer(of(2));
    dwell.next(2_000);
    dwell.offer(of(3));
    expect(dwell.next(2_100)?.id).toBe(3);
  });
});
