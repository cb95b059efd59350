// Words of the page Quality.

import { fixed, percent, when } from './format';
import type { By, Group, Point, Quality, Share, Wrong } from './quality';
import { joined, t } from './say';
import { causeWord, labelWord } from './words';

const RULES = ['quality.rule1', 'quality.rule2', 'quality.rule3', 'quality.rule4'] as const;

/** A rule of Western Electric, by its number. */
export const ruleWord = (rule: number) => t(RULES[rule - 1] ?? RULES[0]);

/** Two digits that mean something: small shares are what this page is about. */
export const share = (value: number) => percent(value, value > 0 && value < 0.01 ? 2 : 1);

export const rangeWords = (of: Share) => t('quality.range', { low: share(of.low), high: share(of.high) });

export const wrongWord = (wrong: Pick<Wrong, 'kind' | 'name'>) => (wrong.kind === 'label' ? labelWord(wrong.name) : wrong.kind === 'cause' ? causeWord(wrong.name) : t('quality.no-label'));

export const groupWord = (group: Group, by: By) =>
  by === 'shift' ? t('quality.shift-of', { shift: labelWord(group.name), date: group.date ?? '' }) : (by === 'model' ? group.name.slice(0, 8) : group.name) || t('quality.unnamed');

/** The longest rule looks at eight points: with fewer, nothing can be said to be in control. */
const JUDGED = 8;

/** What the chart says, in one sentence. */
export function chartSentence(quality: Quality): string {
  const { change, chart } = quality;
  if (change) return t('quality.since', { at: when(change.at), after: share(change.after), before: share(change.before) });
  const broken = chart.points.filter((point) => point.rules.length);
  const last = broken.at(-1);
  if (!last && chart.mean === null) return '';
  if (!last) return chart.points.filter((point) => point.parts).length < JUDGED ? t('quality.too-few-points', { n: JUDGED }) : t('quality.in-control');
  return t('quality.broken', { n: broken.length, at: when(last.from), rule: ruleWord(last.rules[0]!) });
}

/** A point in words. */
export function pointWords(point: Point): string {
  const at = when(point.from);
  const said = point.share === null ? t('quality.point-none', { at }) : t('quality.point', { at, share: share(point.share), n: point.parts });
  return joined([said, ...point.rules.map(ruleWord)]);
}

/** The difference to the other time, and whether it is more than chance. */
export function differenceWords(quality: Quality): string {
  const difference = quality.beside?.difference;
  if (!difference) return t('quality.no-compare');
  const points = (value: number) => fixed(100 * value, 2);
  const args = { points: points(Math.abs(difference.share)), low: points(difference.low), high: points(difference.high) };
  if (difference.low <= 0 && difference.high >= 0) return t('quality.no-difference', args);
  return difference.share > 0 ? t('quality.more-rejects', args) : t('quality.fewer-rejects', args);
}
