import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ServerEvent } from '../src/lib/sse';
import { LiveStream, type Connection } from '../src/lib/stream';

/** A daemon whose every connection the test holds in its hands. */
class FakeDaemon {
  requests: { lastId: string | undefined; say: (text: string) => void; hangUp: () => void }[] = [];
  answer: 'ok' | 'refuse' | 'unreachable' = 'ok';

  fetch = (_: unknown, init?: RequestInit): Promise<Response> => {
    if (this.answer === 'unreachable') return Promise.reject(new TypeError('failed to fetch'));
    if (this.answer === 'refuse') return Promise.resolve(new Response('', { status: 503, statusText: 'Service Unavailable' }));
    let control!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (c) => void (control = c) });
    init?.signal?.addEventListener('abort', () => control.error(init.signal?.reason));
    this.requests.push({
      lastId: (init?.headers as Record<string, string>)['last-event-id'],
      say: (text) => control.enqueue(new TextEncoder().encode(text)),
      hangUp: () => control.close(),
    });
    return Promise.resolve(new Response(body));
  };
}

describe('LiveStream', () => {
  let daemon: FakeDaemon;
  let events: ServerEvent[];
  let states: Connection[];
  let stream: LiveStream;
  const state = () => states.at(-1)?.state;
  const settle = () => vi.advanceTimersByTimeAsync(1);

  beforeEach(() => {
    vi.useFakeTimers();
    daemon = new FakeDaemon();
    events = [];
    states = [];
    stream = new LiveStream({
      url: '/events',
      fetch: daemon.fetch as typeof fetch,
      onEvent: (e) => events.push(e),
      onConnection: (c) => states.push(c),
      staleAfterMs: 3_000,
      backoffMs: [100, 1_000],
    });
    stream.start();
  });
  afterEach(() => {
    stream.stop();
    vi.useRealTimers();
  });

  it('is live only when data has come, not when the connection stands', async () => {
    await settle();
    expect(state()).toBe('connecting');
    daemon.requests[0]!.say('data: x\n\n');
    await settle();
    expect(state()).toBe('live');
    expect(events).toEqual([{ event: 'message', data: 'x' }]);
  });

  it('resumes after the last part it saw, and forgets half an event', async () => {
    await settle();
    daemon.requests[0]!.say('id: 41\ndata: x\n\nid: 42\ndata: ha');
    await settle();
    daemon.requests[0]!.hangUp();
    await settle();
    expect(states.at(-1)).toMatchObject({ state: 'lost', reason: 'the daemon closed the connection' });
    await vi.advanceTimersByTimeAsync(150);
    expect(daemon.requests[1]!.lastId).toBe('42');
    daemon.requests[1]!.say('lf\n\ndata: y\n\n');
    await settle();
    expect(events.map((e) => e.data)).toEqual(['x', 'y']);
    expect(state()).toBe('live');
  });

  it('says that the connection is lost when a standing connection goes quiet', async () => {
    await settle();
    daemon.requests[0]!.say('data: x\n\n');
    await vi.advanceTimersByTimeAsync(2_900);
    expect(state()).toBe('live');
    await vi.advanceTimersByTimeAsync(200);
    expect(states.at(-1)).toMatchObject({ state: 'lost', reason: 'the daemon has gone quiet' });
  });

  it('counts any byte as a sign of life', async () => {
    await settle();
    daemon.requests[0]!.say('data: x\n\n');
    for (let i = 0; i < 5; i++) {
      await vi.advanceTimersByTimeAsync(2_000);
      daemon.requests[0]!.say(': still here\n\n');
    }
    expect(state()).toBe('live');
    expect(daemon.requests).toHaveLength(1);
  });

  it('keeps trying, waits longer, and tells since when it is lost', async () => {
    daemon.answer = 'refuse';
    stream.stop();
    let tries = 0;
    const refused: Connection[] = [];
    const again = new LiveStream({
      url: '/events',
      fetch: ((...args: Parameters<typeof fetch>) => (tries++, daemon.fetch(...args))) as typeof fetch,
      onEvent: () => undefined,
      onConnection: (c) => refused.push(c),
      backoffMs: [100, 1_000],
    });
    again.start();
    await vi.advanceTimersByTimeAsync(3_200);
    again.stop();
    expect(tries).toBe(5); // at 0, 100, 1100, 2100, 3100 ms
    const lost = refused.filter((c) => c.state === 'lost');
    expect(new Set(lost.map((c) => c.since)).size).toBe(1);
    expect(lost.at(-1)).toMatchObject({ reason: 'the daemon answered 503 Service Unavailable' });
  });

  it('asks without an id when it begins afresh', async () => {
    await settle();
    daemon.requests[0]!.say('id: 900\ndata: x\n\n');
    await settle();
    stream.afresh();
    await settle();
    expect(daemon.requests).toHaveLength(2);
    expect(daemon.requests[1]!.lastId).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_500); // the connection it left must not bring a third
    expect(daemon.requests).toHaveLength(2);
  });

  it('tries at once when hurried, and the connection it replaced stays silent', async () => {
    daemon.answer = 'unreachable';
    await settle();
    daemon.requests[0]!.hangUp();
    await vi.advanceTimersByTimeAsync(150);
    expect(states.at(-1)).toMatchObject({ state: 'lost', reason: 'the daemon cannot be reached' });
    daemon.answer = 'ok';
    stream.hurry();
    await settle();
    daemon.requests.at(-1)!.say('data: x\n\n');
    await settle();
    expect(state()).toBe('live');
    await vi.advanceTimersByTimeAsync(1_500);
    expect(daemon.requests).toHaveLength(2);
  });
});
