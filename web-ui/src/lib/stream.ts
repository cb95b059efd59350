// The live connection: one long GET of /events that comes back by itself, resumes after the last part it saw, and says at
// once when it has gone quiet.

import { t } from './say';
import { SseParser, type ServerEvent } from './sse';

export type Connection =
  | { state: 'connecting'; since: number }
  | { state: 'live'; since: number }
  | { state: 'lost'; since: number; reason: string };

export interface StreamOptions {
  url: string;
  onEvent: (event: ServerEvent) => void;
  onConnection: (connection: Connection) => void;
  /** The session has ended: trying again will not help. */
  onUnauthorized?: () => void;
  /** Silence after which the data counts as stale. The daemon sends a status every second. */
  staleAfterMs?: number;
  /** Waits between attempts; the last one repeats. */
  backoffMs?: readonly number[];
  fetch?: typeof fetch;
  now?: () => number;
}

const STALE_AFTER_MS = 3_500;
const BACKOFF_MS = [250, 500, 1_000, 2_000, 3_000] as const;

export class LiveStream {
  #options: Required<StreamOptions>;
  #parser = new SseParser();
  #stopped = false;
  #attempt = 0;
  #abort: AbortController | null = null;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #connection: Connection;

  constructor(options: StreamOptions) {
    this.#options = {
      staleAfterMs: STALE_AFTER_MS,
      backoffMs: BACKOFF_MS,
      onUnauthorized: () => undefined,
      // Wrapped, because `fetch` refuses to run as another object's method.
      fetch: (input, init) => fetch(input, init),
      now: () => Date.now(),
      ...options,
    };
    this.#connection = { state: 'connecting', since: this.#options.now() };
  }

  start(): void {
    this.#options.onConnection(this.#connection);
    void this.#open();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#watchdog);
    clearTimeout(this.#retry);
    this.#abort?.abort();
  }

  /** Tries again now rather than after the wait: the computer woke up, the network came back, a person asked. */
  hurry(): void {
    if (this.#stopped || this.#connection.state === 'live') return;
    clearTimeout(this.#retry);
    this.#abort?.abort();
    this.#attempt = 0;
    void this.#open();
  }

  /** Begins again without resuming: the ids seen so far mean nothing to the daemon that answers now. */
  afresh(): void {
    if (this.#stopped) return;
    this.#parser = new SseParser();
    clearTimeout(this.#retry);
    this.#abort?.abort();
    void this.#open();
  }

  async #open(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#parser = resume(this.#parser);
    this.#watch(abort);
    try {
      await this.#read(abort);
      this.#fell(abort, t('error.closed'));
    } catch (error) {
      this.#fell(abort, reasonOf(abort, error));
    }
  }

  async #read(abort: AbortController): Promise<void> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (this.#parser.lastId) headers['last-event-id'] = this.#parser.lastId;
    const response = await this.#options.fetch(this.#options.url, { headers, signal: abort.signal, cache: 'no-store' });
    if (response.status === 401) this.#options.onUnauthorized();
    if (!response.ok || !response.body) throw new Error(t('error.answered', { status: `${response.status} ${response.statusText}`.trim() }));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || abort !== this.#abort) return;
      this.#watch(abort);
      for (const event of this.#parser.push(value)) {
        this.#live();
        this.#options.onEvent(event);
      }
    }
  }

  #live(): void {
    this.#attempt = 0;
    if (this.#connection.state !== 'live') this.#say({ state: 'live', since: this.#options.now() });
  }

  /** Anything that arrives winds the watchdog up again; silence ends the attempt. */
  #watch(abort: AbortController): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => abort.abort(new Error(t('error.quiet'))), this.#options.staleAfterMs);
  }

  #fell(abort: AbortController, reason: string): void {
    // An attempt that was replaced says nothing: its successor speaks.
    if (this.#stopped || abort !== this.#abort) return;
    clearTimeout(this.#watchdog);
    const since = this.#connection.state === 'lost' ? this.#connection.since : this.#options.now();
    this.#say({ state: 'lost', since, reason });
    const waits = this.#options.backoffMs;
    const wait = waits[Math.min(this.#attempt, waits.length - 1)] ?? 1_000;
    this.#attempt += 1;
    this.#retry = setTimeout(() => void this.#open(), wait);
  }

  #say(connection: Connection): void {
    this.#connection = connection;
    this.#options.onConnection(connection);
  }
}

/** A new parser that remembers where the old one stood; half an event from the old connection is dropped. */
function resume(old: SseParser): SseParser {
  const parser = new SseParser();
  parser.lastId = old.lastId;
  return parser;
}

function reasonOf(abort: AbortController, error: unknown): string {
  if (abort.signal.aborted && abort.signal.reason instanceof Error) return abort.signal.reason.message;
  if (error instanceof TypeError) return t('error.unreachable.in');
  return error instanceof Error ? error.message : String(error);
}
