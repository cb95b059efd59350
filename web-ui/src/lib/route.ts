// Which page the address names. The part behind # is never sent to the daemon.

export type Route =
  | { page: 'live'; part: number | null }
  | { page: 'review' }
  | { page: 'drift' }
  /** A digest's beginning, or `job-4`. */
  | { page: 'models'; pick: string | null }
  /** The number of an answer; null: a question. */
  | { page: 'replay'; id: number | null };

export function routeOf(hash: string): Route {
  if (hash === '#review') return { page: 'review' };
  if (hash === '#drift') return { page: 'drift' };
  const models = /^#models(?:\/([0-9a-f]+|job-\d+))?$/.exec(hash);
  if (models) return { page: 'models', pick: models[1] ?? null };
  const replay = /^#replay(?:\/(\d+))?$/.exec(hash);
  if (replay) return { page: 'replay', id: replay[1] ? Number(replay[1]) : null };
  const part = /^#part\/(\d+)$/.exec(hash)?.[1];
  return { page: 'live', part: part ? Number(part) || null : null };
}
