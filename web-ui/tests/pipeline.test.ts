import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../src/lib/api';
import { Pipeline, type Entry, type Refused } from '../src/lib/pipeline';

/** A daemon whose every answer the test holds in its hands. */
class FakeDaemon {
  asked: Entry[] = [];
  #open: { entry: Entry; done: (answer: { id: number }) => void; fail: (error: unknown) => void }[] = [];

  send = (entry: Entry): Promise<{ id: number }> =>
    new Promise((done, fail) => {
      this.asked.push({ ...entry });
      this.#open.push({ entry, done, fail });
    });

  get waiting(): number {
    return this.#open.length;
  }

  async take(id?: number): Promise<void> {
    const { entry, done } = this.#open.shift()!;
    done({ id: id ?? entry.id! });
    await vi.advanceTimersByTimeAsync(0);
  }

  async fail(error: unknown): Promise<void> {
    this.#open.shift()!.fail(error);
    await vi.advanceTimersByTimeAsync(0);
  }
}

const gone = () => new TypeError('failed to fetch');
const label = (name: string) => ({ answer: 'label' as const, label: name });

describe('Pipeline', () => {
  let daemon: FakeDaemon;
  let kept: string | null;
  let refused: Refused[];
  let undone: [number, number | null][];
  let unauthorized: number;
  let keys: number;
  let pipeline: Pipeline;

  const open = (write: (text: string) => boolean = (text) => ((kept = text), true)) =>
    new Pipeline({
      send: daemon.send,
      store: { read: () => kept, write },
      onRefused: (r) => refused.push(r),
      onUndone: (took, meant) => undone.push([took, meant]),
      onUnauthorized: () => (unauthorized += 1),
      newKey: () => `key ${++keys}`,
      backoffMs: [100, 1_000],
    });
  const reload = () => {
    pipeline.stop();
    daemon = new FakeDaemon();
    pipeline = open();
    pipeline.start();
  };

  beforeEach(() => {
    vi.useFakeTimers();
    daemon = new FakeDaemon();
    kept = null;
    refused = [];
    undone = [];
    unauthorized = keys = 0;
    pipeline = open();
    pipeline.start();
  });
  afterEach(() => {
    pipeline.stop();
    vi.useRealTimers();
  });

  describe('order', () => {
    it('sends one at a time, in the order given', async () => {
      for (const id of [1, 2, 3]) pipeline.answer(id, label('pit'));
      expect(daemon.asked.map((e) => e.id)).toEqual([1]);
      await daemon.take();
      await daemon.take();
      expect(daemon.asked.map((e) => e.id)).toEqual([1, 2, 3]);
      expect(pipeline.unsent).toBe(1);
      await daemon.take();
      expect(pipeline.unsent).toBe(0);
    });

    it('lets nobody past one that has to wait', async () => {
      pipeline.answer(1, label('pit'));
      pipeline.answer(2, label('dent'));
      await daemon.fail(gone());
      pipeline.answer(3, label('pit'));
      await vi.advanceTimersByTimeAsync(100);
      expect(daemon.asked.map((e) => e.id)).toEqual([1, 1]);
    });
  });

  describe('retry', () => {
    it('comes again with the same key, later and later, for ever', async () => {
      pipeline.answer(1, label('pit'));
      for (const wait of [100, 1_000, 1_000, 1_000]) {
        await daemon.fail(gone());
        expect(pipeline.trouble).toBe('the daemon cannot be reached');
        expect(daemon.waiting).toBe(0);
        await vi.advanceTimersByTimeAsync(wait);
      }
      await daemon.take();
      expect(new Set(daemon.asked.map((e) => e.key))).toEqual(new Set(['key 1']));
      expect(daemon.asked).toHaveLength(5);
      expect([pipeline.trouble, pipeline.unsent]).toEqual([null, 0]);
    });

    it.each([500, 503, 429, 408])('takes %d for "not now"', async (status) => {
      pipeline.answer(1, label('pit'));
      await daemon.fail(new ApiError(status, 'busy'));
      expect(pipeline.trouble).toBe('busy');
      expect(refused).toEqual([]);
      await vi.advanceTimersByTimeAsync(100);
      expect(daemon.asked).toHaveLength(2);
    });

    it('comes again at once when asked to', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.fail(gone());
      pipeline.hurry();
      expect(daemon.asked).toHaveLength(2);
      await vi.advanceTimersByTimeAsync(5_000);
      expect(daemon.asked).toHaveLength(2);
    });

    it('waits out the first attempt that is still at work behind the same key', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.fail(gone());
      await vi.advanceTimersByTimeAsync(100);
      await daemon.fail(new ApiError(409, 'still being worked on'));
      expect(refused).toEqual([]);
      await vi.advanceTimersByTimeAsync(1_000);
      await daemon.take();
      expect(pipeline.unsent).toBe(0);
    });

    it('does not believe that for ever', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.fail(gone());
      for (let i = 0; i < 10 && !refused.length; i++) {
        await vi.advanceTimersByTimeAsync(1_000);
        await daemon.fail(new ApiError(409, 'still being worked on'));
      }
      expect(refused).toHaveLength(1);
    });

    it('holds still while nobody is signed in, and loses nothing', async () => {
      pipeline.answer(1, label('pit'));
      pipeline.answer(2, label('pit'));
      await daemon.fail(new ApiError(401, 'sign in'));
      await vi.advanceTimersByTimeAsync(60_000);
      expect([unauthorized, daemon.asked.length, pipeline.unsent, refused.length]).toEqual([1, 1, 2, 0]);
      pipeline.hurry();
      await daemon.take();
      await daemon.take();
      expect(pipeline.unsent).toBe(0);
    });
  });

  describe('reload', () => {
    it('goes on where it stood, with the same keys', async () => {
      for (const id of [1, 2, 3]) pipeline.answer(id, label('pit'));
      await daemon.take();
      reload();
      expect(pipeline.unsent).toBe(2);
      await daemon.take();
      await daemon.take();
      expect(daemon.asked.map((e) => [e.id, e.key])).toEqual([[2, 'key 2'], [3, 'key 3']]);
      expect(pipeline.standing.map((e) => e.id)).toEqual([1, 2, 3]);
    });

    it('still waits out an attempt of before the reload', async () => {
      pipeline.answer(1, label('pit'));
      reload();
      await daemon.fail(new ApiError(409, 'still being worked on'));
      expect([refused.length, pipeline.unsent]).toEqual([0, 1]);
    });

    it('keeps what was refused until it is seen to', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.fail(new ApiError(422, 'no such label'));
      reload();
      expect(pipeline.refused.map((r) => [r.entry.id, r.words])).toEqual([[1, 'no such label']]);
      pipeline.answer(1, label('dent'));
      expect(pipeline.refused).toEqual([]);
    });

    it('survives what it cannot read', () => {
      for (const text of ['{', 'null', '7', '{"entries":7}', '{"entries":[null,{},{"kind":"answer","key":"k","id":"x"}],"given":[3],"refused":[{}]}']) {
        kept = text;
        const other = open();
        expect([other.unsent, other.standing.length, other.refused.length]).toEqual([0, 0, 0]);
      }
    });

    it('lets one bad line not hold up the good ones', () => {
      pipeline.answer(1, label('pit'));
      const stored = JSON.parse(kept!) as { entries: unknown[] };
      kept = JSON.stringify({ ...stored, entries: [{ kind: 'answer' }, ...stored.entries] });
      expect(open().unsent).toBe(1);
    });

    it('says when nothing would outlive one', () => {
      const unsafe = open(() => false);
      unsafe.answer(1, label('pit'));
      expect([unsafe.safe, unsafe.unsent]).toEqual([false, 1]);
    });
  });

  describe('refusal', () => {
    it('brings the answer back with the daemon’s words and goes on with the others', async () => {
      pipeline.answer(1, label('pit'));
      pipeline.answer(2, label('pit'));
      await daemon.fail(new ApiError(422, 'no such label'));
      expect(refused.map((r) => [r.entry.id, r.status, r.words])).toEqual([[1, 422, 'no such label']]);
      await daemon.take();
      expect(pipeline.standing.map((e) => e.id)).toEqual([2]);
    });

    it('takes a conflict on the first attempt at its word', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.fail(new ApiError(409, 'the part is gone'));
      expect(refused).toHaveLength(1);
    });
  });

  describe('undo', () => {
    it('forgets what has not gone yet without asking anybody', async () => {
      pipeline.answer(1, label('pit'));
      pipeline.answer(2, label('pit'));
      expect(pipeline.undo()).toBe(2);
      await daemon.take();
      expect(daemon.asked.map((e) => e.id)).toEqual([1]);
      expect(pipeline.unsent).toBe(0);
    });

    it('follows one that is on its way', async () => {
      pipeline.answer(1, label('pit'));
      expect(pipeline.undo()).toBe(1);
      expect(pipeline.standing).toEqual([]);
      await daemon.take();
      await daemon.take();
      expect(daemon.asked.map((e) => e.kind)).toEqual(['answer', 'undo']);
      expect(undone).toEqual([[1, 1]]);
    });

    it('follows one whose fate nobody knows, instead of forgetting it', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.fail(gone());
      pipeline.undo();
      await vi.advanceTimersByTimeAsync(100);
      expect(daemon.asked.map((e) => e.kind)).toEqual(['answer', 'answer']);
      await daemon.take();
      expect(daemon.asked.at(-1)?.kind).toBe('undo');
    });

    it('does not take back the one before when the answer itself is refused', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.take();
      pipeline.answer(2, label('pit'));
      pipeline.undo();
      await daemon.fail(new ApiError(422, 'no such label'));
      expect([daemon.waiting, pipeline.unsent, refused.length]).toEqual([0, 0, 0]);
      expect(pipeline.standing.map((e) => e.id)).toEqual([1]);
    });

    it('walks back answer by answer', async () => {
      for (const id of [1, 2, 3]) {
        pipeline.answer(id, label('pit'));
        await daemon.take();
      }
      expect([pipeline.undo(), pipeline.undo()]).toEqual([3, 2]);
      await daemon.take();
      await daemon.take();
      expect(undone).toEqual([[3, 3], [2, 2]]);
      expect(pipeline.standing.map((e) => e.id)).toEqual([1]);
    });

    it('keeps its place between the answers around it', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.take();
      pipeline.undo();
      pipeline.answer(1, label('dent'));
      await daemon.take();
      await daemon.take();
      expect(daemon.asked.map((e) => e.kind)).toEqual(['answer', 'undo', 'answer']);
      expect(pipeline.standing.map((e) => e.body)).toEqual([label('dent')]);
    });

    it('asks the daemon where this screen remembers nothing', async () => {
      expect(pipeline.undo()).toBeNull();
      await daemon.take(41);
      expect(undone).toEqual([[41, null]]);
    });

    it('leaves everything as it stands where the last answer was given on another screen', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.take();
      pipeline.undo();
      expect(daemon.asked.at(-1)?.id).toBe(1);
      await daemon.fail(new ApiError(409, 'your last answer is about part 7'));
      expect(refused.map((r) => [r.entry.id, r.words])).toEqual([[1, 'your last answer is about part 7']]);
      expect([undone, pipeline.standing.map((e) => e.id)]).toEqual([[], [1]]);
    });

    it('tells when there is nothing to take back', async () => {
      pipeline.undo();
      await daemon.fail(new ApiError(409, 'nothing to take back'));
      expect(refused.map((r) => r.words)).toEqual(['nothing to take back']);
      expect(pipeline.unsent).toBe(0);
    });

    it('stays undone over a reload', async () => {
      pipeline.answer(1, label('pit'));
      await daemon.take();
      pipeline.undo();
      reload();
      expect([pipeline.standing.length, pipeline.waitingIds]).toEqual([0, []]);
      await daemon.take();
      expect(daemon.asked.map((e) => e.kind)).toEqual(['undo']);
    });
  });

  it('leaves what is on its way to its successor when it is stopped', async () => {
    pipeline.answer(1, label('pit'));
    pipeline.stop();
    const then = kept;
    await daemon.take();
    expect([kept, pipeline.unsent]).toEqual([then, 1]);
    const successor = open();
    successor.start();
    expect(daemon.asked.map((e) => [e.id, e.key, e.tried])).toEqual([[1, 'key 1', true], [1, 'key 1', true]]);
    await daemon.take();
    expect(successor.unsent).toBe(0);
  });

  it('sends nothing before it is started or after it is stopped', async () => {
    pipeline.stop();
    pipeline.answer(1, label('pit'));
    await vi.advanceTimersByTimeAsync(10_000);
    expect([daemon.asked.length, pipeline.unsent]).toEqual([0, 1]);
  });
});
