// A screen in the hall: nothing but what the line says, for whoever stands three metres away. Chosen on this screen, by its address
// (`/#live?kiosk`, or `/?kiosk` together with a sign-in behind #) or by hand, and kept on it: such a screen is loaded anew with every new
// daemon, and nobody stands there to choose again.

const KEY = 'inspectd.kiosk';

class KioskMode {
  on = $state(false);

  start(): void {
    this.on = kept();
    this.read();
  }

  /** Takes what the address asks for, and leaves the rest of it. */
  read(): void {
    const asked = new URLSearchParams(location.search).get('kiosk') ?? /^#live\?kiosk(?:=(\w+))?$/.exec(location.hash)?.map((it) => it ?? '')[1] ?? null;
    if (asked === null) return;
    const rest = new URLSearchParams(location.search);
    rest.delete('kiosk');
    history.replaceState(null, '', location.pathname + (rest.size ? `?${rest}` : '') + (location.hash.startsWith('#live') ? '' : location.hash));
    this.choose(asked !== '0');
  }

  choose(on: boolean): void {
    this.on = on;
    try {
      if (on) localStorage.setItem(KEY, '1');
      else localStorage.removeItem(KEY);
    } catch {
      // A browser that forbids storage is asked by its address each time.
    }
  }
}

function kept(): boolean {
  try {
    return localStorage.getItem(KEY) === '1';
  } catch {
    return false;
  }
}

export const kiosk = new KioskMode();
