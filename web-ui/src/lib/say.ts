// Words of `messages.ts` in the language of this screen. Whoever asks in a template or a `$derived` is asked again when the
// language changes.

import { count } from './format';
import { language, type Lang } from './language.svelte';
import { messages } from './messages';

/** Where a number decides the form, by the language's own rules (`Intl.PluralRules`); the number is the argument `n`. */
export type Text = string | { one: string; other: string };
export type Message = Record<Lang, Text>;
export type Key = keyof typeof messages;

type Names<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type Forms<T> = T extends string ? T : T[keyof T] & string;
type ArgsOf<K extends Key> = ArgsIn<(typeof messages)[K]['en']>;
type ArgsIn<T> = T extends string ? Names<T> : 'n' | Names<Forms<T>>;
/** Numbers are written as counts of the language; what has decimals or a unit comes as words (`format.ts`). */
export type Args<K extends Key> = [ArgsOf<K>] extends [never] ? [] : [args: Record<ArgsOf<K>, string | number>];

/** Messages with nothing to fill in. */
export type PlainKey = { [K in Key]: [ArgsOf<K>] extends [never] ? K : never }[Key];

type Values = Record<string, string | number>;
const NONE: Values = {};

const rules = new Map<Lang, Intl.PluralRules>();

function formOf(key: Key, args: Values): string {
  const lang = language.current;
  const text: Text = (messages as Record<Key, Message>)[key][lang];
  if (typeof text === 'string') return text;
  const rule = rules.get(lang) ?? new Intl.PluralRules(language.locale);
  rules.set(lang, rule);
  return text[rule.select(Number(args.n)) === 'one' ? 'one' : 'other'];
}

const filled = (form: string, args: Values) =>
  form.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = args[name] ?? '';
    return typeof value === 'number' ? count(value) : value;
  });

/** The message, filled in. */
export function t<K extends Key>(key: K, ...[args]: Args<K>): string {
  return filled(formOf(key, args ?? NONE), args ?? NONE);
}

export interface Piece {
  tag: string | null;
  text: string;
}

/** The message in pieces, for `Say.svelte`: `<b>…</b>` and the like are marked, never read as HTML, and only where the message has them. */
export function say<K extends Key>(key: K, ...[args]: Args<K>): Piece[] {
  const values: Values = args ?? NONE;
  return formOf(key, values)
    .split(/(<\w+>.*?<\/\w+>)/)
    .filter((piece) => piece !== '')
    .map((piece) => {
      const marked = /^<(\w+)>(.*)<\/\1>$/.exec(piece);
      return { tag: marked?.[1] ?? null, text: filled(marked?.[2] ?? piece, values) };
    });
}

/** The word for a code of the daemon, such as `cause.late`; null for one that a newer daemon may know and this page does not. */
export function codeWord(group: string, code: string): string | null {
  const key = `${group}.${code}`;
  return Object.hasOwn(messages, key) ? (t as (key: string) => string)(key) : null;
}

/** A word that begins with a capital, inside a sentence. German nouns keep theirs, and Chinese has none. */
export const inText = (word: string) => (language.current === 'en' ? word.toLowerCase() : word);

/** "a, b". */
export const joined = (words: readonly string[]) => words.join(t('list.comma'));

/** "a, b and c". */
export const listed = (words: readonly string[]) => new Intl.ListFormat(language.locale, { type: 'conjunction' }).format(words);
