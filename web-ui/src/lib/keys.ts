// What a key means to the person who labels. Apart from the screen, so that it can be tested.

import type { LearningLabel } from './learning';
import { t } from './say';
import { labelWord } from './words';

/** A label with the key that gives it; null where the digits have run out. */
export interface KeyedLabel extends LearningLabel {
  key: string | null;
}

/** `G` for the label whose verdict is pass, digits for the others in the daemon's order. */
export function keyed(labels: readonly LearningLabel[]): KeyedLabel[] {
  const good = labels.find((label) => label.verdict === 'pass');
  let digit = 0;
  return labels.map((label) => {
    if (label === good) return { ...label, key: 'G' };
    digit += 1;
    return { ...label, key: digit <= 9 ? String(digit) : null };
  });
}

export type LabelAct =
  | { do: 'label'; label: string }
  | { do: 'unsure' | 'skip' | 'undo' | 'new' }
  | { do: 'walk'; by: 1 | -1 };

export interface Pressed {
  key: string;
  repeat: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/** A key that bounces must not answer the next part, which nobody has seen yet. */
export const BOUNCE_MS = 150;

/**
 * What the key does, or null. `shownMs`: how long the part has been on the screen. A key held down answers once: whoever leans
 * on the keyboard must not label the whole queue.
 */
export function actOf(pressed: Pressed, labels: readonly KeyedLabel[], shownMs: number): LabelAct | null {
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return null;
  if (pressed.key === 'ArrowRight') return { do: 'walk', by: 1 };
  if (pressed.key === 'ArrowLeft') return { do: 'walk', by: -1 };
  if (pressed.repeat) return null;
  const key = pressed.key.toUpperCase();
  if (key === 'Z') return { do: 'undo' };
  if (key === 'N') return { do: 'new' };
  if (shownMs < BOUNCE_MS) return null;
  if (key === 'U') return { do: 'unsure' };
  if (key === 'S') return { do: 'skip' };
  const label = labels.find((label) => label.key === key);
  return label ? { do: 'label', label: label.name } : null;
}

/** Whether the keys belong to what has the focus: a field, or an open menu. */
export function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** What a person typed, as the name of a label: as they write it, less the blanks that nobody sees. */
export const nameOf = (typed: string) => typed.trim().replace(/\s+/g, ' ');

const LONGEST_NAME = 64;

/** Why the daemon would not take it for a name, or null. */
export function nameTrouble(name: string): string | null {
  if ([...name].length > LONGEST_NAME) return t('label.too-long', { n: LONGEST_NAME });
  return /[/,\p{Cc}]/u.test(name) ? t('label.bad-sign') : null;
}

/** The label that looks the same on the screen, where there is one: `Edge chip` beside `edge_chip` could not be told apart. */
export function alike<T extends { name: string }>(name: string, labels: readonly T[]): T | null {
  const looks = (name: string) => labelWord(name).toLowerCase();
  return labels.find((label) => label.name === name) ?? labels.find((label) => looks(label.name) === looks(name)) ?? null;
}
