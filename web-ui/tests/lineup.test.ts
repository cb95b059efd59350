import { beforeEach, describe, expect, it } from 'vitest';
import type { QueueItem } from '../src/lib/learning';
import { Lineup } from '../src/lib/lineup';

const item = (id: number): QueueItem => ({ id, triggered_at: '', serial: null, verdict: 'fail', label: 'pit', scores: [], value: 1 / id, reasons: [], model: '' });
const items = (...ids: number[]) => ids.map(item);

describe('Lineup', () => {
  let lineup: Lineup;
  const ids = () => lineup.items.map((i) => i.id);
  const current = () => lineup.current?.id ?? null;
  beforeEach(() => {
    lineup = new Lineup();
    lineup.take(items(1, 2, 3, 4), lineup.ask());
  });

  it('shows the first, then the one after each that is answered', () => {
    expect(current()).toBe(1);
    lineup.answered(1);
    expect([current(), ids()]).toEqual([2, [2, 3, 4]]);
  });

  it('goes to the first after the last, and to nobody after the only one', () => {
    lineup.goTo(4);
    lineup.answered(4);
    expect(current()).toBe(1);
    for (const id of [1, 2, 3]) lineup.answered(id);
    expect([current(), lineup.place]).toEqual([null, -1]);
  });

  it('does not change the part under a person’s eyes, whatever the daemon sends', () => {
    lineup.goTo(2);
    lineup.take(items(9, 4, 2, 3), lineup.ask());
    expect(current()).toBe(2);
    lineup.take(items(9, 4, 3), lineup.ask());
    expect([current(), ids()]).toEqual([2, [2, 9, 4, 3]]);
    lineup.answered(2);
    expect(current()).toBe(9);
  });

  it('hides an answered part until the daemon, asked after it had the answer, names it again', () => {
    const before = lineup.ask();
    lineup.answered(1);
    lineup.take(items(1, 2), before);
    expect(ids()).toEqual([2]);
    const early = lineup.ask();
    lineup.settled(1);
    lineup.take(items(1, 2), early);
    expect(ids()).toEqual([2]);
    lineup.take(items(1, 2), lineup.ask());
    expect(ids()).toEqual([1, 2]);
  });

  it('does not go back to an older reply that was slow', () => {
    const slow = lineup.ask();
    lineup.take(items(3, 4), lineup.ask());
    lineup.take(items(1, 2, 3, 4), slow);
    expect(ids()).toEqual([1, 3, 4]);
  });

  it('puts what comes back before all others, once', () => {
    lineup.answered(1);
    lineup.answered(2);
    lineup.back(item(1));
    expect([current(), ids()]).toEqual([1, [1, 3, 4]]);
    lineup.take(items(1, 3, 4), lineup.ask());
    expect(ids()).toEqual([1, 3, 4]);
    lineup.answered(1);
    expect([current(), ids()]).toEqual([3, [3, 4]]);
  });

  it('puts what came back last before what came back earlier', () => {
    lineup.answered(1);
    lineup.answered(2);
    lineup.back(item(2));
    lineup.back(item(1));
    expect([current(), ids()]).toEqual([1, [1, 2, 3, 4]]);
  });

  it('takes an answer for a part that is not in it', () => {
    lineup.answered(77);
    expect(current()).toBe(1);
    lineup.back(item(77));
    expect(current()).toBe(77);
  });

  it('walks without answering, and stops at the ends', () => {
    lineup.walk(-1);
    expect(current()).toBe(1);
    lineup.walk(1);
    lineup.walk(1);
    expect([current(), lineup.next(3).map((i) => i.id)]).toEqual([3, [4]]);
    lineup.walk(9);
    expect(current()).toBe(4);
  });

  it('begins at the first when the empty queue fills', () => {
    const empty = new Lineup();
    empty.take([], empty.ask());
    expect(empty.current).toBeNull();
    empty.walk(1);
    empty.take(items(5), empty.ask());
    expect(empty.current?.id).toBe(5);
  });
});
