// The contract about the map of what parts look like, and what can be said of its points without a screen.

import { read, send, type Verdict } from './api';
import type { components } from './schema';
import { t } from './say';
import { hourMinute, when } from './format';
import { labelWord, verdictWord } from './words';

type Schemas = components['schemas'];
export type FeatureMap = Schemas['FeatureMap'];
export type Points = Schemas['FeaturePoints'];
export type SentToReview = Schemas['SentToReview'];

export const readMap = () => read<Schemas['FeatureMapStatus']>('/features');
export const readPoints = () => read<Points>('/features/points');
export const drawMap = (limit: number) => send<FeatureMap>('POST', '/features', { limit });
export const cancelMap = () => send('POST', '/features/cancel');
/** The daemon takes so many at once. */
export const AT_ONCE = 500;
export const sendToReview = (ids: number[]) => send<SentToReview>('POST', '/queue', { ids });

export const COLOUR_BY = ['verdict', 'said', 'label', 'time'] as const;
export type ColourBy = (typeof COLOUR_BY)[number];
export type MarkShape = 'dot' | 'ring' | 'square' | 'triangle' | 'diamond' | 'cross';

/** Points that are drawn alike: outline and colour together, so that nothing hangs on colour alone. */
export interface Kind {
  word: string;
  shape: MarkShape;
  /** A colour, or the name of a CSS colour property. */
  colour: string;
  count: number;
}

export interface Kinds {
  kinds: Kind[];
  /** Of each point, in the points' order. */
  of: Uint8Array;
}

// Okabe and Ito's colours, which the colour-blind tell apart, darkened or lightened where either theme swallows them.
const COLOURS = ['#0a7bbd', '#d98200', '#0b9a74', '#c0609a', '#d55e00', '#7a5fd0', '#8c7a1e', '#4aa5d8'];
const SHAPES: MarkShape[] = ['dot', 'square', 'triangle', 'diamond', 'cross'];
const OF_VERDICT: Record<Verdict, [MarkShape, string]> = { pass: ['dot', '--data'], fail: ['square', '--fail'], review: ['triangle', '--review'], no_decision: ['diamond', '--none'] };
/** Dark blue to yellow: lightness rises with time. */
const AGES = ['#3b3a8c', '#7a4a9e', '#b85c93', '#e5806f', '#f2b84b'];

export function kindsOf(points: Points, by: ColourBy): Kinds {
  if (by === 'time') return agesOf(points);
  const { verdicts, said, labels } = points;
  const keys = by === 'verdict' ? verdicts : by === 'said' ? said : labels;
  const counts = new Map<string | null, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  // What nobody has a name for comes last; else the most frequent first.
  const order = [...counts].sort(([a, n], [b, m]) => Number(a === null) - Number(b === null) || m - n);
  const kinds = order.map(([key, count], i): Kind => {
    if (key === null) return { word: t(by === 'label' ? 'features.unlabelled' : 'features.no-label'), shape: 'ring', colour: '--data', count };
    if (by === 'verdict') {
      const [shape, colour] = OF_VERDICT[key as Verdict];
      return { word: verdictWord(key as Verdict), shape, colour, count };
    }
    return { word: labelWord(key), shape: SHAPES[i % SHAPES.length]!, colour: COLOURS[i % COLOURS.length]!, count };
  });
  const place = new Map(order.map(([key], i) => [key, i]));
  return { kinds, of: Uint8Array.from(keys, (key) => place.get(key) ?? 0) };
}

/** Five stretches of as many parts each. */
function agesOf({ at_ms }: Points): Kinds {
  const sorted = [...at_ms].sort((a, b) => a - b);
  const ends = AGES.map((_, i) => sorted[Math.max(0, Math.ceil(((i + 1) * sorted.length) / AGES.length) - 1)] ?? 0);
  const of = Uint8Array.from(at_ms, (at) => Math.max(0, ends.findIndex((end) => at <= end)));
  const kinds = AGES.map((colour, i): Kind => {
    const from = i === 0 ? (sorted[0] ?? 0) : ends[i - 1]!;
    const word = t('features.age', { from: when(new Date(from).toISOString()), to: hourMinute(new Date(ends[i]!)) });
    return { word, shape: 'dot', colour, count: of.reduce((sum, kind) => sum + Number(kind === i), 0) };
  });
  return { kinds, of };
}

/** Whether a point lies in a polygon given as x, y, x, y, ... (even-odd rule). */
export function inside(polygon: readonly number[], x: number, y: number): boolean {
  let within = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [ax, ay, bx, by] = [polygon[i]!, polygon[i + 1]!, polygon[j]!, polygon[j + 1]!];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}

/** The point nearest to a place, no farther than `reach`; -1: none. */
export function nearest({ x, y }: Pick<Points, 'x' | 'y'>, atX: number, atY: number, reach: number): number {
  let best = -1;
  let least = reach * reach;
  for (let i = 0; i < x.length; i++) {
    const distance = (x[i]! - atX) ** 2 + (y[i]! - atY) ** 2;
    if (distance <= least) [best, least] = [i, distance];
  }
  return best;
}

/** The next point from one in a direction, for the keyboard: near, and rather straight ahead than aside; -1: none lies there. */
export function towards({ x, y }: Pick<Points, 'x' | 'y'>, from: number, dx: number, dy: number): number {
  let best = -1;
  let least = Infinity;
  for (let i = 0; i < x.length; i++) {
    const ahead = (x[i]! - x[from]!) * dx + (y[i]! - y[from]!) * dy;
    if (i === from || ahead <= 0) continue;
    const aside = Math.abs((x[i]! - x[from]!) * dy - (y[i]! - y[from]!) * dx);
    const cost = ahead + 2 * aside;
    if (cost < least) [best, least] = [i, cost];
  }
  return best;
}

/** What is drawn where: the map's -1 to 1 in pixels. */
export interface Sight {
  /** Middle of the screen, on the map. */
  x: number;
  y: number;
  /** 1: the whole map. */
  zoom: number;
}

export const WHOLE: Sight = { x: 0, y: 0, zoom: 1 };
const MOST_ZOOM = 40;

/** Pixels of one unit of the map. */
export const scaleOf = (sight: Sight, width: number, height: number) => (sight.zoom * Math.min(width, height) * 0.94) / 2;

/** Zoomed by a factor so that a place stays under the pointer. */
export function zoomed(sight: Sight, by: number, atX: number, atY: number): Sight {
  const zoom = Math.min(MOST_ZOOM, Math.max(1, sight.zoom * by));
  if (zoom === 1) return WHOLE;
  const kept = sight.zoom / zoom;
  return { zoom, x: atX + (sight.x - atX) * kept, y: atY + (sight.y - atY) * kept };
}
