// Which language this screen speaks: what the address asks for (`?lang=de`), else what a person chose here, else what the
// browser wishes, else English. The address counts as a choice: a screen in the hall is opened with it once.

export const LANGUAGES = {
  en: { name: 'English', locale: 'en-GB', html: 'en' },
  de: { name: 'Deutsch', locale: 'de-DE', html: 'de' },
  zh: { name: '简体中文', locale: 'zh-CN', html: 'zh-Hans' },
} as const;
export type Lang = keyof typeof LANGUAGES;

const KEY = 'inspectd.language';
const ASKED = 'lang';

class LanguageChoice {
  current = $state<Lang>('en');

  /** The name by which `Intl` knows its numbers and dates. */
  get locale(): string {
    return LANGUAGES[this.current].locale;
  }

  /** Before anything is drawn, so that no word changes under somebody's eyes. */
  start(): void {
    const asked = langOf(new URLSearchParams(location.search).get(ASKED));
    if (asked) keep(asked);
    this.#apply(asked ?? recall() ?? wishOf(navigator.languages));
  }

  choose(lang: Lang): void {
    this.#apply(lang);
    keep(lang);
    const url = new URL(location.href);
    if (!url.searchParams.has(ASKED)) return;
    // On a reload what was chosen last must count, not what the address asked for before.
    url.searchParams.delete(ASKED);
    history.replaceState(null, '', url);
  }

  #apply(lang: Lang): void {
    this.current = lang;
    if (typeof document !== 'undefined') document.documentElement.lang = LANGUAGES[lang].html;
  }
}

/** `de`, `de-AT` and `DE` are German; null: not a language of this page. */
export function langOf(tag: string | null): Lang | null {
  const base = tag?.toLowerCase().split(/[-_]/)[0] ?? '';
  return Object.hasOwn(LANGUAGES, base) ? (base as Lang) : null;
}

/** The first wish that this page can meet. */
export const wishOf = (tags: readonly string[]): Lang => tags.map(langOf).find((lang) => lang !== null) ?? 'en';

function recall(): Lang | null {
  try {
    return langOf(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

function keep(lang: Lang): void {
  try {
    localStorage.setItem(KEY, lang);
  } catch {
    // A browser that forbids storage forgets the choice on reload; nothing else depends on it.
  }
}

export const language = new LanguageChoice();
