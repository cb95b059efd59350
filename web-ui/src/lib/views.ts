// A part that several cameras see: one picture, in which each view has its place.

import type { Inspection, Verdict } from './api';
import type { Box } from './heat';

export interface View {
  name: string;
  /** Its place, in fractions of the whole picture. */
  box: Box;
  /** Width by height of its own picture. */
  ratio: number;
  /** What its regions say, the worst; null where the recipe looks nowhere in it. */
  verdict: Verdict | null;
}

const RANK: Record<Verdict, number> = { no_decision: 3, fail: 2, review: 1, pass: 0 };

/** The views, from left to right; none where one camera sees the part. */
export function viewsOf(part: Partial<Pick<Inspection, 'views' | 'regions'>>): View[] {
  const areas = (part.views ?? []).map(({ name, area: [left = 0, top = 0, width = 0, height = 0] }) => ({ name, left, top, width, height }));
  if (areas.length < 2 || areas.some(({ width, height }) => width <= 0 || height <= 0)) return [];
  const across = Math.max(...areas.map((it) => it.left + it.width));
  const down = Math.max(...areas.map((it) => it.top + it.height));
  return areas.map(({ name, left, top, width, height }) => {
    // A model that sees several views speaks for each of them; its tile is the place of the one that weighed most.
    const inIt = (part.regions ?? []).filter(({ tile: [x = 0, y = 0], weights }) => weights.some((it) => it.view === name) || (x >= left && x < left + width && y >= top && y < top + height));
    const worst = inIt.map((region) => region.verdict).sort((a, b) => RANK[b] - RANK[a])[0];
    return {
      name,
      box: { left: left / across, right: (left + width) / across, top: top / down, bottom: (top + height) / down },
      ratio: width / height,
      verdict: worst ?? null,
    };
  });
}

export const holds = ({ left, right, top, bottom }: Box, x: number, y: number) => x >= left && x <= right && y >= top && y <= bottom;

/** A point of the whole picture as one of the view that it lies in; of the whole where there are no views. */
export function within<P extends { x: number; y: number }>(views: readonly View[], point: P): { view: string | null; at: P } {
  const view = views.find(({ box }) => holds(box, point.x, point.y));
  if (!view) return { view: null, at: point };
  const { left, right, top, bottom } = view.box;
  return { view: view.name, at: { ...point, x: (point.x - left) / (right - left), y: (point.y - top) / (bottom - top) } };
}

/** Columns in which so many pictures are largest in a field of this shape. */
export function columnsFor(ratios: readonly number[], field: number): number {
  const ratio = Math.max(...ratios, 0.1);
  let best = 1;
  for (let columns = 2; columns <= ratios.length; columns++) {
    if (widthOf(columns, ratios.length, ratio, field) > widthOf(best, ratios.length, ratio, field)) best = columns;
  }
  return best;
}

/** How wide one picture is, of a field one wide: bounded by its column, and by its row's height times its shape. */
const widthOf = (columns: number, count: number, ratio: number, field: number) => Math.min(1 / columns, ratio / (field * Math.ceil(count / columns)));
