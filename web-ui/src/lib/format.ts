// Numbers and times as people read them in the language of this screen. Units stand next to the number, never inside a colour.

import { language } from './language.svelte';
import { t } from './say';

const numbers = new Map<string, Intl.NumberFormat>();
const dates = new Map<string, Intl.DateTimeFormat>();

/** Making one is slow, and a fast line asks for many. */
function kept<F, O>(made: Map<string, F>, make: (locale: string, options: O) => F, options: O): F {
  const key = language.locale + JSON.stringify(options);
  const format = made.get(key) ?? make(language.locale, options);
  made.set(key, format);
  return format;
}

const numberOf = (options: Intl.NumberFormatOptions) => kept(numbers, (locale, o: Intl.NumberFormatOptions) => new Intl.NumberFormat(locale, o), options);
const dateOf = (options: Intl.DateTimeFormatOptions) => kept(dates, (locale, o: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale, o), options);

export const count = (n: number) => numberOf({ maximumFractionDigits: 0 }).format(n);

/** With so many decimals: "0.93" or "0,93". */
export const fixed = (n: number, decimals: number) => numberOf({ minimumFractionDigits: decimals, maximumFractionDigits: decimals }).format(n);

/** With no more decimals than it needs. */
export const decimal = (n: number, most: number) => numberOf({ maximumFractionDigits: most }).format(n);

/** Of a share, with its sign. One decimal; never rounds a flaw away: 99.96 % is "99.9%", not "100.0%". */
export function percent(share: number | null, decimals = 1): string {
  if (share === null) return '–';
  const written = numberOf({ style: 'percent', minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return written.format(decimals === 1 && share > 0.999 && share < 1 ? 0.999 : share);
}

/** Microseconds as milliseconds with two or three digits that mean something. */
export function ms(us: number): string {
  const value = us / 1000;
  return value < 10 ? fixed(value, 1) : count(value);
}

export const rate = (perSecond: number) => (perSecond < 10 ? fixed(perSecond, 1) : count(perSecond));

const HOUR_MINUTE = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
const SECOND = { ...HOUR_MINUTE, second: '2-digit' } as const;
/** English names the month: 3/4 is another day on the other side of the Atlantic. */
const day = () => ({ year: 'numeric', month: language.current === 'en' ? 'short' : '2-digit', day: '2-digit' }) as const;

const written = (at: Date, options: Intl.DateTimeFormatOptions, raw: string) => (Number.isNaN(at.getTime()) ? raw : dateOf(options).format(at));

/** "09:05:03" */
export const clock = (rfc3339: string) => written(new Date(rfc3339), SECOND, rfc3339);

/** "28 Feb 2026, 09:05:03.123" */
export const clockFine = (rfc3339: string) => written(new Date(rfc3339), { ...day(), ...SECOND, fractionalSecondDigits: 3 }, rfc3339);

/** "09:05" */
export const hourMinute = (at: Date) => dateOf(HOUR_MINUTE).format(at);
/** "09:05:03" */
export const hourMinuteSecond = (at: Date) => dateOf(SECOND).format(at);
/** "Sat" */
export const weekday = (at: Date) => dateOf({ weekday: 'short' }).format(at);
/** "28 Feb" */
export const dayMonth = (at: Date) => dateOf({ day: 'numeric', month: 'short' }).format(at);

/** "14:03" of today, "28 Feb 2026, 14:03" of other days. */
export function when(rfc3339: string, now = Date.now()): string {
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return rfc3339;
  return at.toDateString() === new Date(now).toDateString() ? hourMinute(at) : dateOf({ ...day(), ...HOUR_MINUTE }).format(at);
}

/** "8 s", "3 min", "2 h 5 min". */
export function span(milliseconds: number): string {
  const s = Math.max(0, Math.floor(milliseconds / 1000));
  if (s < 90) return t('span.s', { s });
  const min = Math.floor(s / 60);
  if (min < 90) return t('span.min', { min });
  return t('span.h', { h: Math.floor(min / 60), min: min % 60 });
}
