// Light or dark: the system's wish until a person chooses, then theirs, on this screen only.

export type Theme = 'light' | 'dark';

const KEY = 'inspectd.theme';

class ThemeChoice {
  current = $state<Theme>('light');

  start(): () => void {
    const system = window.matchMedia('(prefers-color-scheme: dark)');
    const follow = () => {
      const chosen = recall();
      this.#apply(chosen ?? (system.matches ? 'dark' : 'light'));
    };
    follow();
    system.addEventListener('change', follow);
    return () => system.removeEventListener('change', follow);
  }

  toggle(): void {
    const next = this.current === 'dark' ? 'light' : 'dark';
    this.#apply(next);
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // A browser that forbids storage forgets the choice on reload; nothing else depends on it.
    }
  }

  #apply(theme: Theme): void {
    this.current = theme;
    document.documentElement.dataset.theme = theme;
  }
}

function recall(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : null;
  } catch {
    return null;
  }
}

export const theme = new ThemeChoice();
