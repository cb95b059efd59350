// Made-up drift: ten days of hours, and what is said of them.
// `POST /mock?drift=changed|usual|first|learning|quiet|own|empty|down` puts it in another state; `own`: changed, and the model does not say what it learned from.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Drift, DriftHour, DriftMeasure, DriftReading } from '../src/lib/drift';
import { json, problem } from './answers.ts';
import { MODEL_DIGEST } from './line.ts';
import { noise } from './picture.ts';

const HOUR = 3_600_000;
const DAYS = 10;
const NEEDED = { parts: 500, minutes: 60 };
const LEAST_PARTS = 100;
/** Hours since the light fades, and since so many parts look unlike that it is beyond. */
const DARKER = 5;

type Scene = 'changed' | 'usual' | 'first' | 'learning' | 'quiet' | 'own' | 'empty' | 'down';

const LIMITS: Record<DriftMeasure, { usual: number; low: number | null; high: number }> = {
  embedding: { usual: 0.052, low: null, high: 0.104 },
  scores: { usual: 0, low: null, high: 0.25 },
  brightness: { usual: 128.4, low: 115.6, high: 141.2 },
  contrast: { usual: 31.7, low: 28.5, high: 34.9 },
  sharpness: { usual: 412, low: 361.2, high: 470.6 },
};

export class MockDrift {
  #scene: Scene = 'changed';
  /** When somebody said that the line is well as it is. */
  #anew: number | null = null;

  constructor(private readonly role: () => string) {}

  set(want: URLSearchParams): void {
    if (!want.has('drift')) return;
    this.#scene = want.get('drift') as Scene;
    this.#anew = null;
  }

  /** Whether the path was one of drift's. */
  answer(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    if (`${req.method} ${path}` !== 'GET /drift' && `${req.method} ${path}` !== 'POST /drift/usual') return false;
    if (this.#scene === 'down') problem(res, 503, 'the record is being rebuilt');
    else if (path === '/drift') json(res, this.#view(Date.now()));
    else if (!['engineer', 'admin'].includes(this.role())) problem(res, 403, `\`anna\` is ${this.role()}, and this needs the role engineer`);
    else {
      this.#anew = Date.now();
      json(res, this.#view(Date.now()));
    }
    return true;
  }

  #view(now: number): Drift {
    const scene = this.#scene;
    const begun = now - DAYS * 24 * HOUR;
    const usual = { ...NEEDED, pictures: { since: iso(begun), parts: 3612, known: true }, model: { since: iso(begun), parts: 3410, known: true } };
    const view: Drift = { product: 'bottle-cap', model: MODEL_DIGEST, knows_its_training: scene !== 'own', usual, now: [], hours: [] };
    if (scene === 'empty') return { ...view, product: '', model: '', usual: { ...usual, ...nothing() } };
    if (scene === 'first') {
      const since = iso(now - 41 * 60_000);
      return { ...view, usual: { ...usual, pictures: { since, parts: 230, known: false }, model: { since, parts: 221, known: false } }, hours: [{ from: since, to: iso(now), parts: 230, distance: null, readings: [] }] };
    }
    const hours = this.#hours(begun, now, scene);
    if (this.#anew !== null || scene === 'learning') return { ...view, ...this.#learned(hours, now, usual) };
    if (scene === 'quiet') return { ...view, hours: hours.filter((hour) => Date.parse(hour.to) < now - 3 * HOUR) };
    return { ...view, hours, now: (hours.at(-1)!.readings.length ? hours.at(-1)! : hours.at(-2)!).readings };
  }

  /** As after `begin_anew`: at eight parts a second, or, in the scene, half-way there for the model alone. */
  #learned(hours: DriftHour[], now: number, usual: Drift['usual']): Pick<Drift, 'usual' | 'hours' | 'now'> {
    const of = (readings: DriftReading[]) => readings.filter(({ measure }) => measure !== 'embedding' && measure !== 'scores');
    if (this.#anew === null) {
      const since = now - 25 * 60_000;
      const kept = hours.map((hour) => (Date.parse(hour.to) < since ? hour : { ...hour, readings: of(hour.readings) }));
      return { usual: { ...usual, model: { since: iso(since), parts: 312, known: false } }, hours: kept, now: of(kept.at(-1)!.readings) };
    }
    const anew = this.#anew;
    const gathered = { since: iso(anew), parts: Math.floor((8 * (now - anew)) / 1000), known: false };
    const before = hours.filter((hour) => Date.parse(hour.to) < anew);
    return { usual: { ...usual, pictures: gathered, model: gathered }, hours: [...before, { from: iso(anew), to: iso(now), parts: gathered.parts, distance: null, readings: [] }], now: [] };
  }

  #hours(begun: number, now: number, scene: Scene): DriftHour[] {
    const hours: DriftHour[] = [];
    for (let start = Math.floor(begun / HOUR) * HOUR; start < now; start += HOUR) {
      const n = Math.round((now - start) / HOUR);
      const day = new Date(start).getDay();
      // Sundays nobody works, at night few parts come; the first hours are those that teach what is usual.
      const clock = new Date(start).getHours();
      if (day === 0 && n > DARKER + 3) continue;
      const parts = n > DARKER + 3 && clock >= 1 && clock < 4 ? 40 + clock * 9 : 3000 + Math.round(700 * noise(n, 1));
      const to = Math.min(start + HOUR - 1000, now);
      const told = parts >= LEAST_PARTS && start - begun >= HOUR;
      const hour = { from: iso(start + 1000), to: iso(to), parts, distance: told ? 0.18 + 0.01 * noise(n, 2) : null };
      hours.push({ ...hour, readings: told ? this.#readings(hour, n, scene) : [] });
    }
    return hours;
  }

  #readings({ from, to, parts }: Omit<DriftHour, 'readings'>, hoursAgo: number, scene: Scene): DriftReading[] {
    const changed = scene === 'changed' || scene === 'own';
    const fade = changed && hoursAgo < DARKER ? Math.min(1, (DARKER - hoursAgo) / 2) : 0;
    const wave = (seed: number) => noise(hoursAgo, seed) - 0.5;
    const slow = Math.sin(hoursAgo / 9);
    const VALUES: Record<DriftMeasure, number> = {
      embedding: 0.052 + 0.012 * wave(3) + 0.03 * fade + (changed && hoursAgo < 3 ? 0.032 : 0),
      scores: 0.035 + 0.04 * (wave(4) + 0.5) + 0.07 * fade,
      brightness: 128.4 + 2.2 * wave(5) + 2.5 * slow - 19 * fade,
      contrast: 31.7 + 0.8 * wave(6) - 1.6 * fade,
      sharpness: 412 + 18 * wave(7) + 12 * slow - 14 * fade + (hoursAgo === 76 || hoursAgo === 77 ? 85 : 0),
    };
    return (Object.keys(LIMITS) as DriftMeasure[]).map((measure) => {
      const reading = { measure, from, to, parts: measure === 'sharpness' ? Math.round(parts / 10) : parts, value: VALUES[measure], ...LIMITS[measure] };
      const beyond = reading.value > reading.high || (reading.low !== null && reading.value < reading.low);
      return { ...reading, beyond, words: wordsOf({ ...reading, beyond }) };
    });
  }
}

/** As the daemon says it. */
function wordsOf({ measure, parts, value, usual, low, high, beyond }: Omit<DriftReading, 'words'>): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  if (measure === 'embedding') return `${percent(value)} of ${parts} parts are far from all that is known, usually ${percent(usual)}, limit ${percent(high)}`;
  if (measure === 'scores') return `the scores of ${parts} parts are spread ${beyond ? 'otherwise than' : 'as'} usual: index ${value.toFixed(2)}, limit ${high.toFixed(2)}`;
  return `${measure} of ${parts} pictures: median ${value.toFixed(1)}, usually ${usual.toFixed(1)}, limits ${(low ?? 0).toFixed(1)} to ${high.toFixed(1)}`;
}

const nothing = () => ({ pictures: { since: null, parts: 0, known: false }, model: { since: null, parts: 0, known: false } });
const iso = (at: number) => new Date(at).toISOString();
