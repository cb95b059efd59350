// What the person who labels sees and does, on the review page and in a part's record: the queue, the answers on their way,
// the labels and their figures.

import { ApiError, readInspection } from './api';
import { Card } from './card.svelte';
import { keyed } from './keys';
import { itemOf, readLearning, readQueue, readQueueItem, sendAnswer, sendUndo, type Answer, type AnswerBody, type Learning, type LearningLabel, type QueueItem } from './learning';
import { Lineup } from './lineup';
import { paceOf, tallied, type Tally } from './pace';
import { Pipeline, type GivenEntry, type Refused } from './pipeline';
import { t } from './say';
import { session } from './session.svelte';

const ANSWERS = 'inspectd.answers.';
const TALLY = 'inspectd.tally.';
const AHEAD = 3;
const CARDS_KEPT = 12;
const KNOWN_KEPT = 1_000;
/** Each answer is an event: the queue is not read more often than this. */
const READ_EVERY_MS = 1_500;
/** For a daemon whose events do not come. */
const REREAD_MS = 15_000;

export interface NotLearned {
  label: string;
  /** Parts that carry it. */
  shots: number;
  trouble: string;
}

class Review {
  learning = $state.raw<Learning | null>(null);
  queueRead = $state(false);
  /** Why the queue could not be read. */
  problem = $state.raw<string | null>(null);
  items = $state.raw<QueueItem[]>([]);
  current = $state.raw<QueueItem | null>(null);
  card = $state.raw<Card | null>(null);
  place = $state(-1);
  waiting = $state<number | null>(null);
  unsent = $state(0);
  trouble = $state<string | null>(null);
  /** Answers on their way would outlive a reload. */
  safe = $state(true);
  refused = $state.raw<readonly Refused[]>([]);
  /** The newest answer that stands. */
  last = $state.raw<GivenEntry | null>(null);
  notice = $state.raw<string | null>(null);
  /** A new label that the line could not learn. */
  notLearned = $state.raw<NotLearned | null>(null);
  today = $state(0);
  pace = $state<number | null>(null);
  /** When the part on the screen came up there. */
  shownAt = $state(0);
  /** Answers that others gave on this screen and that wait for them: name and how many. */
  others = $state.raw<{ name: string; count: number }[]>([]);

  readonly labels = $derived(keyed(this.#withFresh(this.learning?.labels ?? [])));

  #lineup = new Lineup();
  #pipeline: Pipeline | null = null;
  #known = new Map<number, QueueItem>();
  #cards = new Map<number, Card>();
  /** New labels of this screen that the daemon may not know yet, with what they mean. */
  #fresh = $state.raw(new Map<string, 'fail' | 'review'>());
  /** Waiting parts beyond those that the daemon lists. */
  #notListed = 0;
  #readAt = -Infinity;
  #due: ReturnType<typeof setTimeout> | undefined;
  #watched = false;
  #absent = false;

  /** For as long as the page is open; gives the way to end it. */
  start(): () => void {
    const name = session.current?.who?.name ?? 'open';
    const pipeline = new Pipeline({
      send: (entry) => (entry.kind === 'answer' ? sendAnswer(entry.id, entry.body, entry.key) : sendUndo(entry.id, entry.key)),
      store: storeOf(ANSWERS + name),
      onChange: () => this.#copy(),
      onTaken: (entry, { new_kind: kind }) => {
        this.#lineup.settled(entry.id);
        if (kind) this.#noteKind(kind);
        this.readSoon();
      },
      onRefused: (refused) => {
        if (refused.entry.kind === 'answer' && refused.entry.body.answer === 'label') this.#tally(-1);
        void this.#cameBack(refused);
      },
      onUndone: (took, meant) => void this.#undone(took, meant),
      onUnauthorized: () => void session.load(),
    });
    this.#pipeline = pipeline;
    this.today = recallTally(name)?.count ?? 0;
    this.others = othersOf(name);
    // What waited over the reload has been answered already; what was refused comes up again.
    for (const entry of pipeline.standing) this.#noteFresh(entry.body);
    for (const id of pipeline.waitingIds) this.#lineup.answered(id);
    for (const refused of pipeline.refused) void this.#cameBack(refused);
    pipeline.start();
    this.#copy();
    void this.read();
    const hurry = () => pipeline.hurry();
    const leaving = (event: BeforeUnloadEvent) => {
      // A reload keeps them, a closed window would not.
      if (pipeline.unsent) event.preventDefault();
    };
    const clock = setInterval(() => this.#copyPace(), 1_000);
    const reread = setInterval(() => {
      if (!this.#absent) void this.read();
    }, REREAD_MS);
    window.addEventListener('online', hurry);
    window.addEventListener('beforeunload', leaving);
    return () => {
      pipeline.stop();
      clearInterval(clock);
      clearInterval(reread);
      clearTimeout(this.#due);
      window.removeEventListener('online', hurry);
      window.removeEventListener('beforeunload', leaving);
    };
  }

  /** The review page is open: pictures of what comes next are read ahead. */
  watch(on: boolean): void {
    this.#watched = on;
    if (!on) this.queueRead = false;
    else {
      this.#show();
      void this.read();
    }
  }

  retry(): void {
    this.#pipeline?.hurry();
    void this.read();
  }

  /** Reads now, or in a moment where that was done just now. */
  readSoon(): void {
    clearTimeout(this.#due);
    this.#due = setTimeout(() => void this.read(), Math.max(0, this.#readAt + READ_EVERY_MS - performance.now()));
  }

  async read(): Promise<void> {
    this.#readAt = performance.now();
    const ask = this.#lineup.ask();
    try {
      // Without the page only the number at the top is shown.
      const [learning, queue] = await Promise.all([readLearning(), this.#watched ? readQueue() : null]);
      this.learning = learning;
      if (queue) {
        this.#lineup.take(queue.items, ask);
        this.#notListed = queue.waiting - queue.items.length;
        this.queueRead = true;
      }
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      // A daemon that does not learn is not asked over and over; whoever opens the page asks again.
      this.#absent = error instanceof ApiError && error.status === 404;
    }
    this.#show();
  }

  /** Gives an answer for any part. */
  answer(item: QueueItem, body: AnswerBody): void {
    if (!this.#pipeline) return;
    this.notice = null;
    // From the queue it says more than from the part's record.
    if (!this.#known.has(item.id)) this.#known.set(item.id, item);
    const full = this.#withVerdict(body);
    this.#noteFresh(full);
    this.#lineup.answered(item.id);
    this.#pipeline.answer(item.id, full);
    if (full.answer === 'label') this.#tally(1);
    this.#show();
  }

  undo(): void {
    if (!this.#pipeline) return;
    this.notice = null;
    const last = this.#pipeline.standing.at(-1);
    const id = this.#pipeline.undo();
    if (last?.body.answer === 'label') {
      this.#tally(-1);
      // It counted this part; the next answer with the label tells anew.
      if (this.notLearned?.label === last.body.label) this.notLearned = null;
    }
    if (id !== null) void this.#bringBack(id);
  }

  walk(by: number): void {
    this.#lineup.walk(by);
    this.#show();
  }

  goTo(id: number): void {
    this.#lineup.goTo(id);
    this.#show();
  }

  /** A person has seen what was refused. */
  dismiss(key: string): void {
    this.#pipeline?.dismiss(key);
  }

  /** The name of a part that was answered here a moment ago. */
  nameOf(id: number): string {
    return this.#known.get(id)?.serial ?? `#${id}`;
  }

  async #cameBack({ entry }: Refused): Promise<void> {
    // An undo that was refused has its part up again already.
    if (entry.kind === 'answer') await this.#bringBack(entry.id);
  }

  async #undone(took: number, meant: number | null): Promise<void> {
    // What was meant is up again already.
    if (meant === null) await this.#bringBack(took);
    this.readSoon();
  }

  async #bringBack(id: number): Promise<void> {
    const item = this.#known.get(id) ?? (await readQueueItem(id).catch(() => readInspection(id).then(itemOf)).catch(() => null));
    if (!item) {
      this.notice = t('review.lost', { id: String(id) });
      return;
    }
    this.#lineup.back(item);
    this.#show();
  }

  #show(): void {
    this.items = this.#lineup.items;
    this.#remember(this.items);
    const current = this.#lineup.current;
    if (current?.id !== this.current?.id) this.shownAt = performance.now();
    this.current = current;
    this.place = this.#lineup.place;
    this.waiting = this.#watched && this.queueRead ? this.#notListed + this.items.length : (this.learning?.queue.waiting ?? null);
    if (!this.#watched) return;
    this.card = current && this.#cardOf(current.id);
    for (const item of this.#lineup.next(AHEAD)) this.#cardOf(item.id);
    const wanted = new Set([current?.id, ...this.#lineup.next(AHEAD).map((item) => item.id)]);
    // Those just answered are kept for an undo; the oldest go.
    for (const id of this.#cards.keys()) if (this.#cards.size > CARDS_KEPT && !wanted.has(id)) this.#cards.delete(id);
  }

  /** Records by id, for names and for what comes back; the oldest go, since a screen may stay open for weeks. */
  #remember(items: readonly QueueItem[]): void {
    for (const item of items) {
      this.#known.delete(item.id);
      this.#known.set(item.id, item);
    }
    for (const id of this.#known.keys()) if (this.#known.size > KNOWN_KEPT) this.#known.delete(id);
  }

  #cardOf(id: number): Card {
    const kept = this.#cards.get(id);
    // One that failed deserves another try when it comes up again.
    const card = kept && !(kept.settled && (kept.problem || kept.picture === 'failed')) ? kept : new Card(id);
    this.#cards.delete(id);
    this.#cards.set(id, card);
    return card;
  }

  #copy(): void {
    if (!this.#pipeline) return;
    this.unsent = this.#pipeline.unsent;
    this.trouble = this.#pipeline.trouble;
    this.safe = this.#pipeline.safe;
    this.refused = [...this.#pipeline.refused];
    this.last = this.#pipeline.standing.at(-1) ?? null;
    this.#copyPace();
  }

  #copyPace(): void {
    const given = this.#pipeline?.standing.filter((entry) => entry.body.answer === 'label') ?? [];
    this.pace = paceOf(given.map((entry) => entry.at), Date.now());
  }

  #tally(by: number): void {
    const name = session.current?.who?.name ?? 'open';
    const tally = tallied(recallTally(name), by, Date.now());
    this.today = tally.count;
    storeOf(TALLY + name).write(JSON.stringify(tally));
  }

  /** What a new label means goes along until the daemon knows it: an undo may take away the answer that said it first. */
  #withVerdict(body: AnswerBody): AnswerBody {
    if (body.answer !== 'label') return body;
    const { answer, label } = body;
    const known = this.learning?.labels.some((other) => other.name === label);
    const verdict = known ? undefined : (body.verdict ?? this.#fresh.get(label));
    return verdict ? { answer, label, verdict } : { answer, label };
  }

  /** Trouble stays on the screen until somebody has seen it or the kind has none any more. */
  #noteKind({ label, shots, trouble }: NonNullable<Answer['new_kind']>): void {
    if (trouble !== null) this.notLearned = { label, shots, trouble };
    else if (this.notLearned?.label === label) this.notLearned = null;
  }

  #noteFresh(body: AnswerBody): void {
    if (body.answer === 'label' && body.verdict) this.#fresh = new Map(this.#fresh).set(body.label, body.verdict);
  }

  /** With the names of this screen that the daemon has not counted yet. */
  #withFresh(labels: LearningLabel[]): LearningLabel[] {
    const unknown = [...this.#fresh].filter(([name]) => !labels.some((label) => label.name === name));
    return [...labels, ...unknown.map(([name, verdict]) => ({ name, verdict, origin: 'new' as const, count: 0 }))];
  }
}

function storeOf(key: string) {
  return {
    read: () => {
      try {
        return sessionStorage.getItem(key);
      } catch {
        return null;
      }
    },
    write: (text: string) => {
      try {
        sessionStorage.setItem(key, text);
        return true;
      } catch {
        return false;
      }
    },
  };
}

function recallTally(name: string): Tally | null {
  try {
    const tally = JSON.parse(storeOf(TALLY + name).read() ?? 'null') as Tally | null;
    return tally && Number.isInteger(tally.count) ? tallied(tally, 0, Date.now()) : null;
  } catch {
    return null;
  }
}

function othersOf(name: string): { name: string; count: number }[] {
  try {
    return Object.keys(sessionStorage)
      .filter((key) => key.startsWith(ANSWERS) && key !== ANSWERS + name)
      .map((key) => ({ name: key.slice(ANSWERS.length), count: (JSON.parse(sessionStorage.getItem(key) ?? '{}') as { entries?: unknown[] }).entries?.length ?? 0 }))
      .filter((other) => other.count > 0);
  } catch {
    return [];
  }
}

export const review = new Review();
