// Names of the contract in an operator's words, in the language of this screen.

import type { Inspection, LineState, Verdict } from './api';
import { fixed } from './format';
import { decodeHeat, peakOf, type Peak } from './heat';
import { codeWord, inText, joined, t } from './say';
import { viewsOf, within } from './views';

/** Of a newer daemon this page may not know all codes: such a one is shown as it is. */
export const verdictWord = (verdict: Verdict) => codeWord('verdict', verdict) ?? labelWord(verdict);
/** Inside a sentence. */
export const verdictInText = (verdict: Verdict) => codeWord('verdict_in', verdict) ?? labelInText(verdict);
export const stateWord = (state: LineState) => codeWord('state', state) ?? labelWord(state);
export const causeWord = (cause: string) => codeWord('cause', cause) ?? labelWord(cause);
export const roleWord = (role: string) => codeWord('role', role) ?? role;

/** `edge_chip` reads as "Edge chip". */
export function labelWord(label: string): string {
  const words = label.replace(/[_-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A label inside a sentence: "edge chip". */
export const labelInText = (label: string) => inText(labelWord(label));

/** The daemon's words as a sentence of the page; names stand in them between backquotes. */
export function sentence(words: string): string {
  const plain = words.replaceAll('`', '').trim();
  return plain.charAt(0).toUpperCase() + plain.slice(1) + (/[.!?]$/.test(plain) ? '' : '.');
}

const REGION = [
  ['part.upper-left', 'part.top', 'part.upper-right'],
  ['part.left', 'part.centre', 'part.right'],
  ['part.lower-left', 'part.bottom', 'part.lower-right'],
] as const;

/** Where the heat map of the part's own verdict is hottest, or null where it has none. */
export function peakOfPart(part: Inspection): Peak | null {
  const grid = part.heat && part.verdict !== 'pass' ? decodeHeat(part.heat) : null;
  return grid && peakOf(grid);
}

/** Where on the part, in thirds of the picture. */
export function regionOf(peak: Pick<Peak, 'x' | 'y'>): string {
  const third = (t: number) => Math.min(2, Math.max(0, Math.floor(t * 3))) as 0 | 1 | 2;
  return t(REGION[third(peak.y)][third(peak.x)]);
}

/** Why, in one short line: "Scratch, upper left, 0.93", or the cause of no decision. */
export function reasonOf(part: Inspection): string {
  if (part.verdict === 'no_decision') {
    return part.cause ? causeWord(part.cause) : (part.detail ?? t('part.no-cause'));
  }
  if (part.verdict === 'pass') return part.found.length ? joined([labelWord(part.found[0]!.label), score(part.found[0]!.score)]) : t('part.no-defect');
  const worst = part.found[0] ?? (part.label ? scoreOf(part, part.label) : null);
  if (!worst) return part.detail ?? t('part.no-label');
  const words = [labelWord(worst.label)];
  const peak = part.heat?.label === worst.label ? peakOfPart(part) : null;
  if (peak) {
    const { view, at } = within(viewsOf(part), peak);
    if (view) words.push(view);
    words.push(regionOf(at));
  }
  words.push(score(worst.score));
  return joined(words);
}

/** The other labels over their thresholds: "also pit 0.71, stain 0.55". */
export function alsoFound(part: Inspection): string | null {
  const others = part.verdict === 'pass' ? [] : part.found.slice(1);
  return others.length ? t('part.also', { labels: joined(others.map((f) => `${labelInText(f.label)} ${score(f.score)}`)) }) : null;
}

function scoreOf(part: Inspection, label: string) {
  return part.scores.find((s) => s.label === label) ?? null;
}

const score = (s: number) => fixed(s, 2);

/** What is to be said of a part's serial number: it was not read, another part had it, others were left out before it. */
export const identityWords = (part: Pick<Inspection, 'identity'>): string[] => {
  const identity = part.identity;
  if (!identity) return [];
  const words: string[] = [];
  if (identity.state === 'unread') words.push(t('part.serial-unread'));
  if (identity.repeats != null) words.push(t('part.repeats', { part: String(identity.repeats) }));
  const missing = identity.missing;
  if (missing) words.push(missing.count === 1 ? t('part.missing-one') : t('part.missing', { n: missing.count, first: String(missing.first), last: String(missing.last) }));
  return words;
};

export const partName = (part: Pick<Inspection, 'id' | 'serial'>) => part.serial ?? `#${part.id}`;

/** Names of what computes, as their makers write them. */
const PROVIDER: Record<string, string> = { cpu: 'CPU', cuda: 'CUDA', tensorrt: 'TensorRT' };
export const providerWord = (name: string) => PROVIDER[name] ?? name;

/** What each view weighed in a decision by several, the heaviest first. */
export const weightWords = ({ weights }: Pick<Inspection['regions'][number], 'weights'>): string[] =>
  weights.map(({ view, weight }) => {
    const name = view.replaceAll('_', ' ');
    return weight === null ? t('record.no-view', { view: name }) : `${name} ${fixed(weight, 2)}`;
  });
