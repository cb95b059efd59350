// Who is signed in on this screen, and the ways in and out.

import { ApiError, readSession, send, type Session } from './api';
import { t } from './say';
import { roleWord } from './words';

class SessionState {
  /** Null until the daemon has answered once. */
  current = $state.raw<Session | null>(null);

  /** Asks the daemon. A screen in the hall opens `/#kiosk=TOKEN` once; the part behind # is never sent, so no log has it. */
  async load(): Promise<void> {
    const token = /^#kiosk=(.+)$/.exec(location.hash)?.[1];
    if (token) {
      history.replaceState(null, '', location.pathname);
      await this.#enter('/session/kiosk', { token: decodeURIComponent(token) }).catch(() => undefined);
    }
    // A daemon that does not answer is the live page's matter: it says so across the top.
    this.current = await readSession().catch(() => this.current);
  }

  signIn = (name: string, password: string) => this.#enter('/session', { name, password });

  setUp = (token: string, name: string, password: string) => this.#enter('/session/setup', { token, name, password });

  async signOut(): Promise<void> {
    await send('DELETE', '/session');
    await this.load();
  }

  async #enter(path: string, body: unknown): Promise<void> {
    this.current = await send<Session>('POST', path, body);
  }
}

export const session = new SessionState();

const ROLES = ['kiosk', 'operator', 'engineer', 'admin'] as const;
type Role = (typeof ROLES)[number];

/** Why whoever is signed in may not do what asks for this role, in words; null when they may. */
export function whyNot(least: Role): string | null {
  const who = session.current?.who;
  // Not known yet: the daemon will say.
  if (!session.current) return null;
  if (!who) return session.current.open ? null : t('barred.nobody', { role: roleWord(least) });
  const rank = (role: string | null) => ROLES.indexOf(role as Role);
  return rank(who.role) >= rank(least) ? null : t('barred.role', { name: who.name, role: who.role ? roleWord(who.role) : t('nobody'), needed: roleWord(least) });
}

/** What went wrong, as a sentence. */
export function wordsOf(error: unknown): string {
  const words = error instanceof ApiError ? error.message : t('error.unreachable');
  return words.charAt(0).toUpperCase() + words.slice(1) + (words.endsWith('.') ? '' : '.');
}
