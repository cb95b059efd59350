// Who is signed in on this screen, and the ways in and out.

import { ApiError, readSession, send, type Session } from './api';

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

/** What went wrong, as a sentence. */
export function wordsOf(error: unknown): string {
  const words = error instanceof ApiError ? error.message : 'The daemon cannot be reached';
  return words.charAt(0).toUpperCase() + words.slice(1) + (words.endsWith('.') ? '' : '.');
}
