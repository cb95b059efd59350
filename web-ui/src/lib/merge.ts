// The list of the latest parts, from events and from re-reads, in whatever order they come.

import type { Inspection } from './api';

/** Newest first, each part once, at most `limit`. Where a part comes twice, the later word of `news` stands. */
export function mergeLatest(known: readonly Inspection[], news: readonly Inspection[], limit: number): Inspection[] {
  const byId = new Map<number, Inspection>();
  for (const part of known) byId.set(part.id, part);
  for (const part of news) byId.set(part.id, part);
  return [...byId.values()].sort((a, b) => b.id - a.id).slice(0, limit);
}
