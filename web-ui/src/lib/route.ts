// Which page the address names. The part behind # is never sent to the daemon.

import { PAGES } from './pages';

export interface Route {
  /** The name of one of `PAGES`. */
  page: string;
  /** What follows the name: `12` in `#part/12`. It has the form that the page asks for. */
  at: string | null;
}

/** An address that no page knows is the first page's. */
export function routeOf(hash: string): Route {
  const [, name, at = null] = /^#([a-z-]+)(?:\/(.+))?$/.exec(hash) ?? [];
  const page = PAGES.find((page) => name === page.name || (at !== null && name === page.also));
  if (!page || (at !== null && !page.at?.test(at))) return { page: PAGES[0]!.name, at: null };
  return { page: page.name, at };
}
