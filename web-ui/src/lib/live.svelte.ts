// Everything the live page shows, kept fresh. Events land in plain fields at whatever rate the line runs; a clock copies them
// to what the screen watches ten times a second at most, so that a fast line costs the page no more than a slow one.

import { API, imageUrl, readInspection, readInspections, readTrend, type Alert, type Alerts, type Inspection, type LineStatus, type Trend } from './api';
import { Dwell } from './dwell';
import { mergeLatest } from './merge';
import { session } from './session.svelte';
import { t } from './say';
import type { ServerEvent } from './sse';
import { LiveStream, type Connection } from './stream';

export const STRIP_LENGTH = 24;
const PAINT_EVERY_MS = 100;
/** A strip that moves faster cannot be pointed at. */
const STRIP_EVERY_MS = 400;
const TREND_EVERY_MS = 3_000;
/** Longer sides of the pictures on the screen: the daemon makes each once, for however many screens. */
const PICTURE_SIDE = 1024;
export const TILE_SIDE = 160;
/** A verdict must not wait for a slow picture. */
const PICTURE_WITHIN_MS = 400;
/** Evidence that is still being written is refused for a moment. */
export const PICTURE_RETRIES_MS = [500, 1_500] as const;

/** A picture, or why there is none. */
export type Picture = HTMLImageElement | 'not_kept' | 'failed' | 'late';

const PICTURE_FOLLOWS_MS = [150, 500] as const;
/** How often the strip asks for pictures that had not followed yet. */
const STRIP_ASKS_EVERY_MS = 1_500;

export interface Shown {
  part: Inspection;
  picture: Picture;
  /** The part did not pass and stays on screen while newer ones go by. */
  held: boolean;
}

export class Live {
  status = $state.raw<LineStatus | null>(null);
  connection = $state.raw<Connection>({ state: 'connecting', since: Date.now() });
  latest = $state.raw<Inspection[]>([]);
  notPassed = $state.raw<Inspection[]>([]);
  shown = $state.raw<Shown | null>(null);
  trend = $state.raw<Trend | null>(null);
  /** On now, the worst first. */
  alerts = $state.raw<Alert[]>([]);
  now = $state.raw(Date.now());
  lastTriggerAt = $state.raw<number | null>(null);
  statusAt = $state.raw<number | null>(null);
  /** Grows whenever labels, jobs or models are no longer what they were. */
  learningNews = $state.raw(0);

  #dwell = new Dwell();
  #arrived: Inspection[] = [];
  #loading: number | null = null;
  #stripAt = 0;
  #askedAt = 0;
  /** Parts up to this one have been asked for a picture that had not followed yet. */
  #askedUpTo = 0;
  #timers: ReturnType<typeof setInterval>[] = [];
  #stream = new LiveStream({
    url: `${API}/events`,
    onEvent: (event) => this.#take(event),
    onConnection: (connection) => this.#connected(connection),
    onUnauthorized: () => void session.load(),
  });

  start(): () => void {
    this.#stream.start();
    this.#timers = [
      setInterval(() => this.#paint(), PAINT_EVERY_MS),
      setInterval(() => (this.now = Date.now()), 1_000),
      setInterval(() => void this.#refreshTrend(), TREND_EVERY_MS),
    ];
    void this.#refreshTrend();
    const hurry = () => this.#stream.hurry();
    const shown = () => document.visibilityState === 'visible' && hurry();
    window.addEventListener('online', hurry);
    document.addEventListener('visibilitychange', shown);
    return () => {
      this.#stream.stop();
      this.#timers.forEach(clearInterval);
      window.removeEventListener('online', hurry);
      document.removeEventListener('visibilitychange', shown);
    };
  }

  retry(): void {
    this.#stream.hurry();
  }

  #take({ event, data }: ServerEvent): void {
    try {
      if (event === 'inspection') this.#part(JSON.parse(data) as Inspection);
      else if (event === 'status') this.#newStatus(JSON.parse(data) as LineStatus);
      else if (event === 'alerts') this.alerts = (JSON.parse(data) as Alerts).active;
      else if (event === 'learning') this.learningNews += 1;
      else if (event === 'gap') void this.#reread();
    } catch (error) {
      // One event that cannot be read must not end the connection: on resuming, it would come again and again.
      console.error(`event ${event} could not be read:`, error);
    }
  }

  #part(part: Inspection): void {
    this.#dwell.offer(part);
    this.#arrived.push(part);
    // Only the newest can reach the strip; the rest need not wait in memory while the tab sleeps.
    if (this.#arrived.length > 4 * STRIP_LENGTH) this.#arrived = keepForStrip(this.#arrived);
  }

  #newStatus(status: LineStatus): void {
    const before = this.status;
    // A new daemon brings its own page; a screen that nobody touches for weeks must not stay on the old one.
    if (before && before.version !== status.version) location.reload();
    if (before && before.started_at !== status.started_at) this.#forget();
    if (status.counts.triggered !== this.status?.counts.triggered) this.lastTriggerAt = Date.now();
    if (!this.status) performance.mark('live');
    this.status = status;
    this.statusAt = Date.now();
  }

  #connected(connection: Connection): void {
    const wasLive = this.connection.state === 'live';
    this.connection = connection;
    this.now = Date.now();
    if (connection.state !== 'live' || wasLive) return;
    this.lastTriggerAt = this.statusAt = Date.now();
    void this.#reread();
    void this.#refreshTrend();
  }

  /** The daemon was started anew, maybe over another store, where part ids begin at 1 again. */
  #forget(): void {
    this.#dwell = new Dwell();
    this.#arrived = [];
    this.#askedUpTo = 0;
    this.latest = [];
    this.notPassed = [];
    this.#stream.afresh();
    void this.#reread();
  }

  /** After a start, a lost connection or a gap: what the store holds is the truth. */
  async #reread(): Promise<void> {
    try {
      const pages = await Promise.all([
        readInspections(STRIP_LENGTH),
        readInspections(STRIP_LENGTH, 'fail'),
        readInspections(STRIP_LENGTH, 'review'),
        readInspections(STRIP_LENGTH, 'no_decision'),
      ]);
      const [all, ...abnormal] = pages.map((page) => page.items);
      for (const part of [...(all ?? [])].reverse()) this.#dwell.offer(part);
      this.#arrived.push(...abnormal.flat(), ...(all ?? []));
      this.#stripAt = 0;
    } catch (error) {
      // The stream says loudly when the daemon is gone. A refusal here only means an older strip; the next event mends it.
      console.warn('the latest parts could not be read:', error);
    }
  }

  async #refreshTrend(): Promise<void> {
    if (this.connection.state !== 'live') return;
    try {
      this.trend = await readTrend();
    } catch (error) {
      console.warn('the trend could not be read:', error);
    }
  }

  #paint(): void {
    const now = performance.now();
    this.#paintShown(now);
    this.#askForPictures(now);
    if (this.#arrived.length === 0 || now - this.#stripAt < STRIP_EVERY_MS) return;
    this.#stripAt = now;
    this.latest = mergeLatest(this.latest, this.#arrived, STRIP_LENGTH);
    const abnormal = this.#arrived.filter((part) => part.verdict !== 'pass');
    if (abnormal.length) this.notPassed = mergeLatest(this.notPassed, abnormal, STRIP_LENGTH);
    this.#arrived = [];
  }

  /** Each part of the strip is asked for once more, some time after it came without a picture. */
  #askForPictures(now: number): void {
    if (now - this.#askedAt < STRIP_ASKS_EVERY_MS || this.connection.state !== 'live') return;
    const newest = this.latest[0]?.id ?? 0;
    const without = this.latest.some((part) => part.id > this.#askedUpTo && !part.has_image && !NO_PICTURE.has(part.cause));
    this.#askedAt = now;
    if (!without) return;
    this.#askedUpTo = newest;
    void this.#reread();
  }

  #paintShown(now: number): void {
    const part = this.#dwell.next(now);
    if (!part || this.#loading !== null) return;
    const held = part.verdict !== 'pass' && this.#dwell.behind;
    if (part.id === this.shown?.part.id) {
      if (held !== this.shown.held) this.shown = { ...this.shown, held };
      return;
    }
    // Verdict and picture change together: a verdict over another part's picture would be a lie.
    this.#loading = part.id;
    const picture = part.has_image ? loadPicture(imageUrl(part.id, PICTURE_SIDE), PICTURE_RETRIES_MS) : comingPicture(part);
    void within(PICTURE_WITHIN_MS, picture).then((soon) => {
      this.#loading = null;
      this.shown = { part, picture: soon, held };
    });
    // On a slow line the part is still there when a slow picture comes.
    void picture.then((late) => {
      if (this.shown?.part.id === part.id && this.shown.picture === 'late') this.shown = { ...this.shown, picture: late };
    });
  }
}

function keepForStrip(parts: Inspection[]): Inspection[] {
  const abnormal = parts.filter((part) => part.verdict !== 'pass');
  return [...abnormal.slice(-STRIP_LENGTH), ...parts.slice(-STRIP_LENGTH)];
}

/** The picture, decoded and ready to draw. */
export async function loadPicture(url: string, retriesMs: readonly number[] = []): Promise<Picture> {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    return image;
  } catch {
    const [wait, ...rest] = retriesMs;
    if (wait === undefined) return 'failed';
    await new Promise((resolve) => setTimeout(resolve, wait));
    return loadPicture(url, rest);
  }
}

/** Causes of parts that never had a picture. */
const NO_PICTURE: ReadonlySet<string | null> = new Set(['no_frame', 'safe_hold', 'restart']);

/** A record is told the moment it is kept, its picture may follow a little later: ask before saying that there is none. */
async function comingPicture(part: Inspection): Promise<Picture> {
  if (NO_PICTURE.has(part.cause)) return 'not_kept';
  for (const wait of PICTURE_FOLLOWS_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    const record = await readInspection(part.id).catch(() => null);
    if (record?.has_image) return loadPicture(imageUrl(part.id, PICTURE_SIDE), PICTURE_RETRIES_MS);
  }
  return 'not_kept';
}

function within(ms: number, picture: Promise<Picture>): Promise<Picture> {
  return Promise.race([picture, new Promise<Picture>((resolve) => setTimeout(() => resolve('late'), ms))]);
}

/** Why there is no picture, in words; null when there is one. */
export function missingWords(picture: Picture): string | null {
  if (picture === 'not_kept') return t('picture.not-kept');
  if (picture === 'failed') return t('picture.failed');
  if (picture === 'late') return t('picture.late');
  return null;
}
