// What of a page is to be seen from every other one: parts that wait, answers on their way, a line that has changed.

import { drift } from './drift.svelte';
import { sentenceOf } from './drift-words';
import { review } from './review.svelte';
import { t } from './say';

export interface NavMark {
  /** `waiting` is work as usual; the others are abnormal. */
  kind: 'waiting' | 'unsent' | 'changed';
  n: number | null;
  words: string;
}

export function reviewMarks(): NavMark[] {
  const { waiting, unsent } = review;
  return [
    ...(waiting ? [{ kind: 'waiting', n: waiting, words: t('nav.waiting', { n: waiting }) } as const] : []),
    ...(unsent ? [{ kind: 'unsent', n: unsent, words: t('nav.unsent', { n: unsent }) } as const] : []),
  ];
}

export function driftMarks(): NavMark[] {
  const { view, standing, readAt } = drift;
  return view && standing?.kind === 'changed' ? [{ kind: 'changed', n: null, words: sentenceOf(standing, view, readAt) }] : [];
}
