// The part of the interface that decides stored parts anew, and what a question and a report say in an operator's words.

import { API, read, send, type Verdict } from './api';
import { dayMonth, decimal, hourMinute, hourMinuteSecond, when } from './format';
import { short } from './learn-words';
import { codeWord, inText, joined, t } from './say';
import type { components } from './schema';
import { causeWord, labelInText, labelWord, sentence, verdictInText, verdictWord } from './words';

type Schemas = components['schemas'];

export type Replay = Schemas['ReplayRun'];
export type ReplayDetail = Schemas['ReplayDetail'];
export type Report = Schemas['ReplayReport'];
export type NewReplay = Schemas['NewReplay'];
export type Changed = Report['changed'][number];
type Said = Schemas['ReplaySaid'];
type Part = Schemas['ReplayPart'];
type Timeline = Schemas['ReplayTimeline'];

export const readReplays = () => read<{ replays: Replay[] }>('/replays');
export const readReplay = (id: number) => read<ReplayDetail>(`/replays/${id}`);
export const startReplay = (question: NewReplay) => send<Replay>('POST', '/replays', question, { 'idempotency-key': crypto.randomUUID() });
export const cancelReplay = (id: number) => send<Replay>('POST', `/replays/${id}/cancel`, {});
export const deleteReplay = (id: number) => send('DELETE', `/replays/${id}`);
export const serialsUrl = (id: number) => `${API}/replays/${id}/serials`;
export const reportUrl = (id: number) => `${API}/replays/${id}/report`;

export const replayState = (state: Replay['state']) => codeWord('replay_state', state) ?? labelWord(state);

const HOUR_MS = 3_600_000;

/** Ranges that most people mean. */
export const QUICK = [
  { name: 'replay.last-hour', ms: HOUR_MS },
  { name: 'replay.last-shift', ms: 8 * HOUR_MS },
  { name: 'replay.last-day', ms: 24 * HOUR_MS },
  { name: 'replay.last-week', ms: 7 * 24 * HOUR_MS },
] as const;

/** A time as an input field for local times has it. */
export function localField(at: number): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** What a person asks, as it stands in the form. */
export interface Question {
  /** Of `QUICK`; null: `from` and `to` count. */
  quickMs: number | null;
  from: string;
  to: string;
  /** Digest of another model; null: the scores on record are decided anew. */
  model: string | null;
  /** What the fields say, by label. An empty one says nothing. */
  thresholds: Record<string, string>;
  serial: string;
  label: string;
  verdict: Verdict | '';
}

export function blank(now = Date.now()): Question {
  return { quickMs: QUICK[1].ms, from: localField(now - QUICK[1].ms), to: localField(now), model: null, thresholds: {}, serial: '', label: '', verdict: '' };
}

/** The same question once more, to be changed. */
export function questionOf({ range, model, thresholds }: Pick<Replay, 'range' | 'model' | 'thresholds'>): Question {
  return {
    quickMs: null,
    from: localField(Date.parse(range.from)),
    // A field has no seconds: to the next full minute, so that no part is lost.
    to: localField(Date.parse(range.to) + 59_999),
    model: model?.digest ?? null,
    thresholds: Object.fromEntries(Object.entries(thresholds).map(([label, value]) => [label, String(value)])),
    serial: range.serial ?? '',
    label: range.label ?? '',
    verdict: (range.verdict as Verdict | null) ?? '',
  };
}

/** What is to be sent, or why it cannot be. `inForce`: thresholds that count today; what says the same is no change. */
export function requestOf(question: Question, inForce: ReadonlyMap<string, number>, now = Date.now()): NewReplay | string {
  const [from, to] = question.quickMs === null ? [Date.parse(question.from), Date.parse(question.to)] : [now - question.quickMs, now];
  if (!Number.isFinite(from) || !Number.isFinite(to)) return t('replay.no-range');
  if (from >= to) return t('replay.bad-range');
  const thresholds: Record<string, number> = {};
  for (const [label, text] of Object.entries(question.thresholds)) {
    if (!text.trim()) continue;
    const value = Number(text);
    if (!(value >= 0 && value <= 1)) return t('replay.bad-threshold', { label: labelInText(label) });
    if (question.model !== null || !same(value, inForce.get(label))) thresholds[label] = value;
  }
  if (question.model === null && Object.keys(thresholds).length === 0) return t('replay.no-change');
  return {
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    thresholds,
    ...(question.model === null ? {} : { model: question.model }),
    ...(question.serial.trim() ? { serial: question.serial.trim() } : {}),
    ...(question.label.trim() ? { label: question.label.trim() } : {}),
    ...(question.verdict ? { verdict: question.verdict } : {}),
  };
}

/** Thresholds travel as short floats: 0.35 comes as 0.3499999940395355. */
export const same = (a: number, b: number | undefined) => b !== undefined && Math.abs(a - b) < 1e-6;

/** A threshold without the noise of its float, for a field; and in words. */
export const threshold = (value: number) => String(Number(value.toFixed(4)));
export const thresholdWord = (value: number) => decimal(value, 4);

/** "scratch from 0.4 on, pit from 0.35 on", "model tiny 5e3c9a1f7b2d, ...". */
export function triedWord({ model, thresholds }: Pick<Replay, 'model' | 'thresholds'>): string {
  const words = Object.entries(thresholds).map(([label, value]) => t('replay.tried.threshold', { label: labelInText(label), value: thresholdWord(value) }));
  return joined(model ? [t('replay.tried.model', { model: `${model.name} ${short(model.digest).slice(0, 8)}` }), ...words] : words);
}

export function rangeWord({ range }: Pick<Replay, 'range'>, now = Date.now()): string {
  const only = [range.serial === null ? '' : t('replay.serial', { serial: range.serial }), range.label === null ? '' : labelInText(range.label), range.verdict === null ? '' : verdictInText(range.verdict as Verdict)].filter((word) => word);
  const times = { from: when(range.from, now), to: when(range.to, now) };
  return only.length ? t('replay.range-only', { ...times, only: joined(only) }) : t('replay.range', times);
}

export const nameOf = (part: Pick<Part, 'id' | 'serial'>) => (part.serial === null ? t('replay.part', { id: String(part.id) }) : t('replay.serial', { serial: part.serial }));

/** The answer in one sentence. */
export function headline(report: Pick<Report, 'parts' | 'changed'>, now = Date.now()): string {
  const { decided, changed } = report.parts;
  if (decided === 0) return t('replay.headline.none');
  const first = report.changed[0];
  if (!first) return t('replay.headline.same', { n: decided });
  const where = joined([when(first.at, now), nameOf(first)]);
  return changed === 1 ? t('replay.headline.one', { n: decided, where }) : t('replay.headline', { changed, n: decided, where });
}

export interface Fate {
  parts: number;
  words: string;
}

/** Every part that was asked for and not decided anew, and why. Together with those decided they are all. */
export function fatesOf({ parts: n, range, undecidable }: Pick<Report, 'parts' | 'range' | 'undecidable'>, cut = 0): Fate[] {
  const told = undecidable.reduce((sum, group) => sum + group.parts, 0);
  const all: Fate[] = [
    { parts: n.without_picture, words: t('replay.fate.no-picture') },
    { parts: n.missing, words: t('replay.fate.gone') },
    { parts: n.unreadable, words: t('replay.fate.unreadable') },
    { parts: n.without_scores, words: t('replay.fate.no-scores') },
    ...undecidable.map((group) => ({ parts: group.parts, words: plain(group.reason) })),
    { parts: n.undecidable - told, words: t('replay.fate.others', { n: cut }) },
    { parts: n.beyond_limit, words: t('replay.fate.limit', { n: range.limit ?? 0 }) },
  ];
  return all.filter((fate) => fate.parts > 0);
}

/** What has to be known to read the numbers rightly. */
export function cautionsOf(report: Pick<Report, 'parts' | 'notes' | 'recipes' | 'damaged_bytes'>): string[] {
  const { not_reproduced } = report.parts;
  return [
    ...(not_reproduced ? [t('replay.caution.other-thresholds', { n: not_reproduced })] : []),
    ...report.recipes.filter((recipe) => recipe.source !== 'file' && recipe.source !== 'trail').map((recipe) => t('replay.caution.recipe', { recipe: recipe.recipe, parts: t('parts', { n: recipe.parts }), taken: recipe.taken })),
    ...report.notes.map((note) => sentence(plain(note))),
    ...(report.damaged_bytes ? [t('replay.caution.damaged', { n: report.damaged_bytes })] : []),
  ];
}

/** The daemon's words for this page: its times are this screen's, and a terminal's options are left out. */
export function plain(words: string, now = Date.now()): string {
  const times = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;
  return words
    .replace(/ \(`--[a-z-]+`\)/g, '')
    .replaceAll('`', '')
    .replace(times, (time) => when(time, now));
}

export const VERDICTS: readonly Verdict[] = ['pass', 'review', 'fail', 'no_decision'];

export interface Matrix {
  /** Verdicts that occur before, and after. */
  before: Verdict[];
  after: Verdict[];
  of: (before: Verdict, after: Verdict) => number;
}

export function matrixOf({ verdicts }: Pick<Report, 'verdicts'>): Matrix {
  const seen = (side: 'before' | 'after') => VERDICTS.filter((verdict) => verdicts.some((cell) => cell[side] === verdict));
  return { before: seen('before'), after: seen('after'), of: (before, after) => verdicts.find((cell) => cell.before === before && cell.after === after)?.parts ?? 0 };
}

/** "Fail, scratch": a verdict with what it rests on. */
export function saidWord(said: Said): string {
  const why = said.label === 'good' ? null : said.label ? labelInText(said.label) : said.cause ? inText(causeWord(said.cause)) : null;
  const verdict = verdictWord(said.verdict as Verdict);
  return why ? joined([verdict, why]) : verdict;
}

export interface Bars {
  /** Begin of the first step and end of the last, milliseconds. */
  from: number;
  to: number;
  stepMs: number;
  /** Highest number of changes in a step. */
  peak: number;
  most: number;
  steps: { at: number; parts: number; held: number; through: number; otherwise: number }[];
}

export function barsOf(timeline: Timeline): Bars | null {
  if (timeline.from === null || timeline.steps.length === 0) return null;
  const from = Date.parse(timeline.from);
  const stepMs = timeline.step_s * 1000;
  const steps = timeline.steps.map((step, i) => ({ at: from + i * stepMs, parts: step.parts, held: step.held_back, through: step.let_through, otherwise: step.otherwise }));
  return {
    from,
    to: from + steps.length * stepMs,
    stepMs,
    peak: Math.max(...steps.map((s) => s.held + s.through + s.otherwise)),
    most: Math.max(...steps.map((s) => s.parts)),
    steps,
  };
}

const TICK_STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400, 30 * 86_400].map((s) => s * 1000);

/** Round times between, six or so, in local time: what a person would write below a chart. */
export function ticksOf(from: number, to: number): { at: number; word: string }[] {
  const step = TICK_STEPS_MS.find((step) => (to - from) / step <= 7) ?? 90 * 86_400_000;
  const shift = new Date(from).getTimezoneOffset() * 60_000;
  const ticks = [];
  const days = step >= 86_400_000;
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) {
    const date = new Date(at);
    const midnight = date.getHours() + date.getMinutes() + date.getSeconds() === 0;
    ticks.push({ at, word: days || midnight ? dayMonth(date) : step < 60_000 ? hourMinuteSecond(date) : hourMinute(date) });
  }
  return ticks;
}
