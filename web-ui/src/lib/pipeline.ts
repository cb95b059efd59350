// The way of an answer to the daemon. The screen goes on at once; here the answers wait, go out one after the other in the
// order they were given, and stay until the daemon has said what became of them. Without a browser, so that it can be tested.

import { ApiError } from './api';
import type { Answer, AnswerBody } from './learning';
import { t } from './say';

export type Entry =
  | { kind: 'answer'; key: string; id: number; body: AnswerBody; at: number; /** Sent at least once: the daemon may have it. */ tried: boolean }
  | { kind: 'undo'; key: string; /** Null: an answer from before this screen remembers. */ id: number | null; /** Key of the answer it takes back. */ of: string | null; at: number; tried: boolean };

export type GivenEntry = Extract<Entry, { kind: 'answer' }>;

export interface Refused {
  entry: Entry;
  status: number;
  words: string;
}

/** What the daemon says of an entry that it took; of a new label also how its kind stands. */
export type Reply = Pick<Answer, 'id'> & Partial<Pick<Answer, 'new_kind'>>;

/** What outlives a reload. */
interface Kept {
  entries: Entry[];
  /** Answers that the daemon has, oldest first, as far as this screen remembers: what undo walks back through. */
  given: GivenEntry[];
  /** Refused, and not yet seen to. */
  refused: Refused[];
}

export interface Store {
  read(): string | null;
  /** False where it could not be kept. */
  write(text: string): boolean;
}

export interface PipelineOptions {
  send: (entry: Entry) => Promise<Reply>;
  store: Store;
  /** Anything that a screen shows of it is different now. */
  onChange?: () => void;
  onTaken?: (entry: GivenEntry, reply: Reply) => void;
  onRefused?: (refused: Refused) => void;
  /** The daemon took back the answer for a part; `meant` is null where only the daemon knew which. */
  onUndone?: (took: number, meant: number | null) => void;
  /** The session has ended: trying again will not help until somebody signs in. */
  onUnauthorized?: () => void;
  newKey?: () => string;
  now?: () => number;
  /** Waits between attempts; the last one repeats. */
  backoffMs?: readonly number[];
}

const BACKOFF_MS = [300, 1_000, 2_000, 5_000] as const;
/** How often "the first request with this key is still being worked on" is believed. */
const CONFLICTS_BELIEVED = 6;
const REMEMBERED = 200;

export class Pipeline {
  #options: Required<PipelineOptions>;
  #kept: Kept;
  #busy: Entry | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #running = false;
  /** Why the first in the row has not gone yet, in words; null while all is well. */
  trouble: string | null = null;
  /** Kept over a reload. */
  safe = true;

  constructor(options: PipelineOptions) {
    this.#options = {
      onChange: () => undefined,
      onTaken: () => undefined,
      onRefused: () => undefined,
      onUndone: () => undefined,
      onUnauthorized: () => undefined,
      newKey,
      now: () => Date.now(),
      backoffMs: BACKOFF_MS,
      ...options,
    };
    this.#kept = parse(options.store.read());
  }

  get unsent(): number {
    return this.#kept.entries.length;
  }

  get refused(): readonly Refused[] {
    return this.#kept.refused;
  }

  /** Answers that stand, oldest first: the daemon's and those on their way. */
  get standing(): readonly GivenEntry[] {
    const undone = new Set(this.#kept.entries.flatMap((e) => (e.kind === 'undo' && e.of ? [e.of] : [])));
    const waiting = this.#kept.entries.filter((e): e is GivenEntry => e.kind === 'answer');
    return [...this.#kept.given, ...waiting].filter((e) => !undone.has(e.key));
  }

  /** Parts with an answer that has not gone yet, and that nobody has taken back. */
  get waitingIds(): number[] {
    const standing = new Set(this.standing);
    return this.#kept.entries.flatMap((e) => (e.kind === 'answer' && standing.has(e) ? [e.id] : []));
  }

  start(): void {
    this.#running = true;
    this.#go();
  }

  /** What is on its way then counts as sent at least once: whoever goes on asks again with its key. */
  stop(): void {
    this.#running = false;
    this.#busy = null;
    clearTimeout(this.#retry);
  }

  /** Tries again now: the network came back, somebody signed in, a person asked. */
  hurry(): void {
    clearTimeout(this.#retry);
    this.#go();
  }

  answer(id: number, body: AnswerBody): GivenEntry {
    const entry: GivenEntry = { kind: 'answer', key: this.#options.newKey(), id, body, at: this.#options.now(), tried: false };
    this.#kept.refused = this.#kept.refused.filter((r) => r.entry.id !== id);
    this.#kept.entries.push(entry);
    this.#changed();
    this.#go();
    return entry;
  }

  /** Takes back the last answer that stands. Gives its part, or null where this screen remembers none: the daemon then knows. */
  undo(): number | null {
    const last = this.standing.at(-1) ?? null;
    if (last && !last.tried && this.#kept.entries.includes(last)) {
      this.#kept.entries = this.#kept.entries.filter((e) => e !== last);
    } else {
      this.#kept.entries.push({ kind: 'undo', key: this.#options.newKey(), id: last?.id ?? null, of: last?.key ?? null, at: this.#options.now(), tried: false });
    }
    this.#changed();
    this.#go();
    return last?.id ?? null;
  }

  /** A person has seen what was refused. */
  dismiss(key: string): void {
    this.#kept.refused = this.#kept.refused.filter((r) => r.entry.key !== key);
    this.#changed();
  }

  #go(): void {
    if (!this.#running || this.#busy) return;
    clearTimeout(this.#retry);
    const entry = this.#kept.entries[0];
    if (!entry) return;
    const before = entry.tried;
    // Written down before it leaves: after a reload in between nobody could tell whether the daemon has it.
    entry.tried = true;
    this.#busy = entry;
    this.#changed();
    this.#options
      .send(entry)
      .then(
        // After a stop another pipeline may own what was kept.
        (reply) => this.#busy === entry && this.#taken(entry, reply),
        (error: unknown) => this.#busy === entry && this.#failed(entry, error, before),
      );
  }

  #taken(entry: Entry, reply: Reply): void {
    this.#settle(entry);
    if (entry.kind === 'answer') {
      this.#kept.given = [...this.#kept.given, entry].slice(-REMEMBERED);
    } else {
      this.#kept.given = this.#kept.given.filter((e) => e.key !== entry.of);
    }
    this.#changed();
    if (entry.kind === 'answer') this.#options.onTaken(entry, reply);
    else this.#options.onUndone(reply.id, entry.id);
    this.#go();
  }

  #failed(entry: Entry, error: unknown, before: boolean): void {
    const status = error instanceof ApiError ? error.status : null;
    if (status === 401) {
      this.#busy = null;
      this.trouble = t('error.signed-out');
      this.#changed();
      this.#options.onUnauthorized();
      return;
    }
    this.#failures += 1;
    const again = status === null || status >= 500 || status === 408 || status === 429;
    // Sent again while the first attempt is still at work: its answer will be there in a moment.
    const atWork = status === 409 && before && this.#failures <= CONFLICTS_BELIEVED;
    if (!again && !atWork) return this.#refuse(entry, { entry, status: status ?? 0, words: wordsOf(error) });
    this.#busy = null;
    this.trouble = wordsOf(error);
    const waits = this.#options.backoffMs;
    if (this.#running) this.#retry = setTimeout(() => this.#go(), waits[Math.min(this.#failures - 1, waits.length - 1)] ?? 1_000);
    this.#changed();
  }

  #refuse(entry: Entry, refused: Refused): void {
    this.#settle(entry);
    // An undo of an answer that was never taken would take back the one before it.
    if (entry.kind === 'answer') {
      const undo = this.#kept.entries.some((e) => e.kind === 'undo' && e.of === entry.key);
      this.#kept.entries = this.#kept.entries.filter((e) => e.kind === 'answer' || e.of !== entry.key);
      if (undo) {
        // The person has already taken it back: there is nothing left to be told.
        this.#changed();
        this.#go();
        return;
      }
    }
    this.#kept.refused = [...this.#kept.refused, refused];
    this.#changed();
    this.#options.onRefused(refused);
    this.#go();
  }

  #settle(entry: Entry): void {
    this.#busy = null;
    this.#failures = 0;
    this.trouble = null;
    this.#kept.entries = this.#kept.entries.filter((e) => e !== entry);
  }

  #changed(): void {
    this.safe = this.#options.store.write(JSON.stringify(this.#kept));
    this.#options.onChange();
  }
}

/** Not `randomUUID`, which browsers give only to pages under TLS. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function wordsOf(error: unknown): string {
  return error instanceof ApiError ? error.message : t('error.unreachable.in');
}

/** What was kept, less what is not readable: one bad line must not hold up the others. */
function parse(text: string | null): Kept {
  const empty: Kept = { entries: [], given: [], refused: [] };
  if (!text) return empty;
  try {
    const kept = JSON.parse(text) as Partial<Kept>;
    const list = <T>(value: T[] | undefined, good: (item: T) => boolean) => (Array.isArray(value) ? value.filter((item) => item && good(item)) : []);
    return {
      entries: list(kept.entries, isEntry),
      given: list(kept.given, (entry) => isEntry(entry) && entry.kind === 'answer'),
      refused: list(kept.refused, (refused) => isEntry(refused.entry) && typeof refused.words === 'string'),
    };
  } catch {
    return empty;
  }
}

function isEntry(entry: Entry): boolean {
  if (!entry || typeof entry.key !== 'string' || !entry.key) return false;
  if (entry.kind === 'undo') return entry.id === null || Number.isInteger(entry.id);
  return entry.kind === 'answer' && Number.isInteger(entry.id) && typeof entry.body?.answer === 'string';
}
