// The part of the interface that sets a line up: versions of its recipe, good parts to learn from, what a threshold costs.

import { API, read, send } from './api';
import { fixed, percent } from './format';
import { t } from './say';
import type { components } from './schema';

type Schemas = components['schemas'];

export type Recipes = Schemas['Recipes'];
export type RecipeDetail = Schemas['RecipeDetail'];
export type RecipeChange = Schemas['RecipeChange'];
export type Setup = Schemas['SetUp'];
export type Tradeoff = Schemas['Tradeoff'];

export const readRecipes = () => read<Recipes>('/recipes');
export const readRecipe = (tag: string) => read<RecipeDetail>(`/recipes/${encodeURIComponent(tag)}`);
export const makeRecipe = (from: string, change: Record<string, unknown>, reason: string | null) => send<RecipeDetail>('POST', '/recipes', { from, change, reason });
export const enforceRecipe = (tag: string, reason: string | null) => send<Recipes>('POST', `/recipes/${encodeURIComponent(tag)}/enforce`, { reason });

export const readSetup = () => read<Setup>('/setup');
export const beginLesson = (parts: number) => send<Setup>('POST', '/setup/lesson', { parts });
export const endLesson = () => send<Setup>('DELETE', '/setup/lesson');
export const leaveOut = (id: number) => send<Setup>('DELETE', `/setup/lesson/${id}`);
export const learn = () => send<Setup>('POST', '/setup/learn', {});
export const readTradeoff = (label: string) => read<Tradeoff>(`/setup/tradeoff?label=${encodeURIComponent(label)}`);

/** A rectangle in pixels of the picture. */
export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A region as the recipe has it; keys that the page does not draw stay as they are. */
export interface Region {
  name: string;
  area?: Rect;
  view?: string;
  [key: string]: unknown;
}

/** A place that is not inspected. */
export interface Mask {
  rectangle?: [number, number, number, number];
  polygon?: [number, number][];
}

/** Two corners as a rectangle of whole pixels within the picture; null where nothing was drawn. */
export function rectOf(from: [number, number], to: [number, number], width: number, height: number): Rect | null {
  const within = (value: number, most: number) => Math.min(most, Math.max(0, Math.round(value)));
  const [left, right] = [within(Math.min(from[0], to[0]), width), within(Math.max(from[0], to[0]), width)];
  const [top, bottom] = [within(Math.min(from[1], to[1]), height), within(Math.max(from[1], to[1]), height)];
  const rect = { x: left, y: top, width: right - left, height: bottom - top };
  return rect.width >= 4 && rect.height >= 4 ? rect : null;
}

/** A name that no other region has. */
export function freshName(taken: string[]): string {
  for (let n = 1; ; n += 1) {
    const name = t('setup.region-name', { n: String(n) });
    if (!taken.includes(name)) return name;
  }
}

/** The part's picture as it was taken; null where only a preview is there, whose pixels are not the camera's. */
export async function readEvidence(id: number): Promise<ImageBitmap | null> {
  const response = await fetch(`${API}/inspections/${id}/image`);
  if (!response.ok || response.headers.get('x-inspectd-picture') !== 'evidence') return null;
  return createImageBitmap(await response.blob());
}

/** "0.3 % (0.1 to 0.8)"; words where there is nothing to count. */
export function rateWords(seen: number, of: number, ci: number[] | null): string {
  if (of === 0 || !ci) return t('unknown');
  return `${percent(seen / of)} (${t('interval', { from: fixed(100 * ci[0]!, 1), to: fixed(100 * ci[1]!, 1) })})`;
}
