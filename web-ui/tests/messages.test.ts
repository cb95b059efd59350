// The message file: each language says all of it, with the same things filled in; and no page says anything past it.
import { readdirSync, readFileSync } from 'node:fs';
import { parse, type AST } from 'svelte/compiler';
import { afterEach, describe, expect, it } from 'vitest';
import { count, dayMonth, fixed, percent, span, when } from '../src/lib/format';
import { langOf, language, LANGUAGES, wishOf, type Lang } from '../src/lib/language.svelte';
import { messages } from '../src/lib/messages';
import { listed, say, t, type Message, type Text } from '../src/lib/say';

const LIB = new URL('../src/lib/', import.meta.url);
const APP = new URL('../src/', import.meta.url);
const files = [...readdirSync(LIB).map((name) => new URL(name, LIB)), ...['App.svelte', 'Entry.svelte'].map((name) => new URL(name, APP))];
const read = (url: URL) => readFileSync(url, 'utf8');
const all = Object.entries(messages) as [string, Message][];
const langs = Object.keys(LANGUAGES) as Lang[];
const formsOf = (text: Text) => (typeof text === 'string' ? [text] : Object.values(text));

afterEach(() => (language.current = 'en'));

describe('the messages', () => {
  it('have a text in every language', () => {
    const empty = all.flatMap(([key, message]) => langs.filter((lang) => formsOf(message[lang] ?? '').some((form) => !form.trim())).map((lang) => `${key} ${lang}`));
    expect(empty).toEqual([]);
  });

  it('fill in the same in every language and form, and mark the same', () => {
    const filled = (form: string) => JSON.stringify([[...new Set(form.match(/\{\w+\}/g))].sort(), [...form.matchAll(/<(\w+)>/g)].map((tag) => tag[1]).sort()]);
    // "the one part" needs no number: the number decides the form.
    const same = (a: string, b: string) => filled(a) === filled(b);
    const unequal = all.filter(([, message]) => {
      const plural = langs.some((lang) => typeof message[lang] !== 'string');
      const full = langs.map((lang) => formsOf(message[lang]).at(-1)!);
      const ones = plural ? langs.flatMap((lang) => formsOf(message[lang]).slice(0, -1)) : [];
      return !full.every((form) => same(form, full[0]!)) || !ones.every((form) => same(form, full[0]!) || same(`${form}{n}`, full[0]!));
    });
    expect(unequal.map(([key]) => key)).toEqual([]);
  });

  it('have just the forms that the language knows', () => {
    const wrong = all.flatMap(([key, message]) =>
      langs.filter((lang) => typeof message[lang] !== 'string' && new Intl.PluralRules(LANGUAGES[lang].locale).resolvedOptions().pluralCategories.sort().join() !== Object.keys(message[lang]).sort().join()).map((lang) => `${key} ${lang}`),
    );
    expect(wrong).toEqual([]);
  });

  it('are all in use', () => {
    const source = files.filter((url) => !url.pathname.endsWith('/messages.ts') && !url.pathname.endsWith('/schema.ts')).map(read).join('\n');
    // `codeWord('cause', code)` and t(`rate.${kind}.title`) name whole groups.
    const groups = [...source.matchAll(/codeWord\('(\w+)'/g)].map((found) => `^${found[1]}\\.`);
    const patterns = [...source.matchAll(/(?:t|say)\(`([a-z_.-]*\$\{[^`]*)`/g)].map((found) => `^${found[1]!.replace(/\$\{[^}]*\}/g, '§').replaceAll('.', '\\.').replaceAll('§', '[\\w.-]+')}$`);
    const dynamic = [...groups, ...patterns].map((pattern) => new RegExp(pattern));
    const unused = Object.keys(messages).filter((key) => !source.includes(`'${key}'`) && !dynamic.some((pattern) => pattern.test(key)));
    expect(unused).toEqual([]);
  });
});

describe('the codes of the daemon', () => {
  const daemon = new URL('../../daemon/', import.meta.url);
  const schemas = (JSON.parse(read(new URL('openapi.json', daemon))) as { components: { schemas: Record<string, { enum?: string[] }> } }).components.schemas;
  const rules = [...read(new URL('src/alerts/defaults.toml', daemon)).matchAll(/^\[([a-z-]+)\]/gm)].map((found) => found[1]!);

  it.each([
    ['verdict', schemas.VerdictWord?.enum],
    ['verdict_in', schemas.VerdictWord?.enum],
    ['cause', schemas.CauseWord?.enum],
    ['state', schemas.StateWord?.enum],
    ['drift', schemas.DriftMeasure?.enum],
    ['rule', rules],
  ])('%s have words', (group, codes) => {
    expect(codes?.length).toBeGreaterThan(0);
    expect(codes?.filter((code) => !(`${group}.${code}` in messages))).toEqual([]);
  });
});

describe('the languages', () => {
  it('choose the form by the count', () => {
    const said = (lang: Lang, n: number) => ((language.current = lang), t('parts', { n }));
    expect([said('en', 1), said('en', 0), said('en', 1234)]).toEqual(['1 part', '0 parts', '1,234 parts']);
    expect([said('de', 1), said('de', 1234)]).toEqual(['1 Teil', '1.234 Teile']);
    expect([said('zh', 1), said('zh', 1234)]).toEqual(['1 件', '1,234 件']);
  });

  it('write numbers and times as people there do', () => {
    const at = new Date(2026, 1, 28, 9, 5);
    const written = (lang: Lang) => ((language.current = lang), [count(1234567), fixed(0.931, 2), percent(0.0834), when(at.toISOString(), 0), dayMonth(at), span(7_500_000), listed(['a', 'b', 'c'])].map((words) => words.replaceAll('\u00a0', ' ')));
    expect(written('en')).toEqual(['1,234,567', '0.93', '8.3%', '28 Feb 2026, 09:05', '28 Feb', '2 h 5 min', 'a, b and c']);
    expect(written('de')).toEqual(['1.234.567', '0,93', '8,3 %', '28.02.2026, 09:05', '28. Feb.', '2 h 5 min', 'a, b und c']);
    expect(written('zh')).toEqual(['1,234,567', '0.93', '8.3%', '2026/02/28 09:05', '2月28日', '2 小时 5 分', 'a、b和c']);
  });

  it('are found by what a browser wishes', () => {
    expect([langOf('de-AT'), langOf('ZH_cn'), langOf('fr'), langOf(''), langOf(null), langOf('constructor')]).toEqual(['de', 'zh', null, null, null, null]);
    expect([wishOf(['fr-CH', 'de-CH', 'en']), wishOf(['fr']), wishOf([])]).toEqual(['de', 'en', 'en']);
  });

  it('mark what is marked, and never what is filled in', () => {
    expect(say('label.last', { part: '<b>x</b>', answer: '{part}' })).toEqual([{ tag: null, text: 'Last: ' }, { tag: 'b', text: '<b>x</b>' }, { tag: null, text: ' {part}' }]);
  });
});

/** Names and signs that are the same everywhere. */
const ALLOWED = new Set(['inspectd', 'ms', 'p', 'CNR', 'O', 'N', 'U', 'S', 'Z', 'id', '(O)', '(T)', '(F)', 'v', '°C']);
/** Attributes that people read or hear. */
const SPOKEN = /^(title|placeholder|alt|label|word|ask|hint|summary|missing|aria-(label|description|valuetext|roledescription))$/;
const wordy = (text: string) => text.split(/[^\p{L}°()]+/u).filter((word) => /\p{L}/u.test(word) && !ALLOWED.has(word.trim()));

describe('the templates', () => {
  it.each(files.filter((url) => url.pathname.endsWith('.svelte')).map((url) => [url.pathname.split('/').at(-1)!, url] as const))('%s says nothing past the message file', (_, url) => {
    expect(hardWired(read(url))).toEqual([]);
  });

  it('are looked at closely enough', () => {
    expect(hardWired('<p title="Two words">Hello</p>{#if x}{x ? `all of ${x}` : "b"}{/if}<i aria-label={x === "no" ? "Stop" : t("part.top")} class="right"></i>')).toEqual(['Two words', 'Hello', 'all of ', 'b', 'Stop']);
  });
});

/** Words in text, in spoken attributes, and in what is written out; not those that are compared, looked up or handed to a function. */
function hardWired(source: string): string[] {
  const found: string[] = [];
  const note = (text: string) => wordy(text).length && found.push(text.trim() === text ? text : text.replace(/\s+/g, ' '));

  function expression(node: unknown): void {
    if (!node || typeof node !== 'object') return;
    const { type } = node as { type: string };
    if (type === 'Literal') return void (typeof (node as { value: unknown }).value === 'string' && note((node as { value: string }).value));
    if (type === 'TemplateElement') return void note((node as { value: { cooked: string } }).value.cooked);
    if (type === 'ConditionalExpression') return [(node as { consequent: unknown }).consequent, (node as { alternate: unknown }).alternate].forEach(expression);
    if (type === 'LogicalExpression') return [(node as { left: unknown }).left, (node as { right: unknown }).right].forEach(expression);
    if (type === 'BinaryExpression' && (node as { operator: string }).operator === '+') return [(node as { left: unknown }).left, (node as { right: unknown }).right].forEach(expression);
    if (type === 'TemplateLiteral') return [...(node as { quasis: unknown[] }).quasis, ...(node as { expressions: unknown[] }).expressions].forEach(expression);
  }

  function template(node: AST.Fragment | AST.Fragment['nodes'][number] | AST.SvelteOptions | null | undefined): void {
    if (!node || typeof node !== 'object') return;
    if ('nodes' in node) return node.nodes.forEach(template);
    const { type } = node as { type: string };
    if (type === 'Text') return void note((node as AST.Text).data);
    if (type === 'ExpressionTag') return expression((node as AST.ExpressionTag).expression);
    for (const attribute of (node as { attributes?: AST.Attribute[] }).attributes ?? []) {
      if (attribute.type !== 'Attribute' || !SPOKEN.test(attribute.name) || attribute.value === true) continue;
      for (const part of [attribute.value].flat()) if (part.type === 'Text') note(part.data);
      else expression(part.expression);
    }
    for (const inner of ['fragment', 'consequent', 'alternate', 'body', 'fallback', 'pending', 'then', 'catch'] as const) template((node as unknown as Record<string, AST.Fragment>)[inner]);
  }

  template(parse(source, { modern: true }).fragment);
  return found;
}

describe('the code behind the pages', () => {
  it.each(files.filter((url) => !/\/(messages|schema)\.ts$/.test(url.pathname)).map((url) => [url.pathname.split('/').at(-1)!, url] as const))('%s has no sentence of its own', (_, url) => {
    const text = read(url);
    const code = (url.pathname.endsWith('.svelte') ? (/<script lang="ts">([\s\S]*?)<\/script>/.exec(text)?.[1] ?? '') : text)
      .replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '')
      .replace(/console\.\w+\(.*|new Error\(.*/g, '');
    const quoted = /'([^'\\\n]*)'|"([^"\\\n]*)"/g;
    const plain = [...code.matchAll(quoted)].map((found) => found[1] ?? found[2]!);
    const templates = [...code.replace(quoted, '').replace(/\$\{[^{}]*\}/g, '').matchAll(/`([^`\n]*)`/g)].map((found) => found[1]!);
    // Two words in a row; `color-mix(…)` and the like are for the browser.
    const sentences = [...plain, ...templates].filter((text) => /\p{Ll}{2,} \p{Ll}{2,}/u.test(text) && !/^[a-z-]+\(|\$\{/.test(text));
    expect(sentences).toEqual([]);
  });
});
