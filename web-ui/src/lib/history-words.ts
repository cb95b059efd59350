// Words of the page History.

import type { Row } from './history';
import type { PlainKey } from './say';
import { causeWord, labelWord } from './words';

export const PERIODS = [
  { name: 'history.hour', hours: 1 },
  { name: 'history.hours8', hours: 8 },
  { name: 'history.hours24', hours: 24 },
  { name: 'history.days7', hours: 168 },
  { name: 'history.always', hours: null },
] as const satisfies readonly { name: PlainKey; hours: number | null }[];

/** Why, in one word: the label, or the cause of no decision. */
export const whyOf = (row: Row) => (row.cause ? causeWord(row.cause) : row.label ? labelWord(row.label) : '–');
