// Names of the contract in an operator's words.

import type { Cause, Inspection, LineState, Verdict } from './api';
import { decodeHeat, peakOf, type Peak } from './heat';

export const VERDICT_WORD: Record<Verdict, string> = {
  pass: 'Pass',
  fail: 'Fail',
  review: 'Review',
  no_decision: 'No decision',
};

export const STATE_WORD: Record<LineState, string> = {
  ready: 'Ready',
  running: 'Running',
  safe_hold: 'Safe hold',
  draining: 'Draining',
  stopped: 'Stopped',
};

export const CAUSE_WORD: Record<Cause, string> = {
  late: 'Deadline passed',
  overload: 'Line overloaded',
  no_frame: 'No picture',
  truncated: 'Picture cut short',
  unreadable: 'Picture unreadable',
  wrong_size: 'Picture has the wrong size',
  blank: 'Picture blank',
  saturated: 'Picture over- or underexposed',
  out_of_focus: 'Picture out of focus',
  not_aligned: 'Part could not be aligned',
  light_changed: 'Exposure or light changed',
  stage_failed: 'A stage failed on this part',
  safe_hold: 'Line in safe hold',
  restart: 'Daemon restarted',
};

/** `edge_chip` reads as "Edge chip". */
export function labelWord(label: string): string {
  const words = label.replace(/[_-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The daemon's words as a sentence of the page; names stand in them between backquotes. */
export function sentence(words: string): string {
  const plain = words.replaceAll('`', '').trim();
  return plain.charAt(0).toUpperCase() + plain.slice(1) + (/[.!?]$/.test(plain) ? '' : '.');
}

const REGION = [
  ['upper left', 'top', 'upper right'],
  ['left', 'centre', 'right'],
  ['lower left', 'bottom', 'lower right'],
] as const;

/** Where the heat map of the part's own verdict is hottest, or null where it has none. */
export function peakOfPart(part: Inspection): Peak | null {
  const grid = part.heat && part.verdict !== 'pass' ? decodeHeat(part.heat) : null;
  return grid && peakOf(grid);
}

/** Where on the part, in thirds of the picture. */
export function regionOf(peak: Pick<Peak, 'x' | 'y'>): string {
  const third = (t: number) => Math.min(2, Math.max(0, Math.floor(t * 3))) as 0 | 1 | 2;
  return REGION[third(peak.y)][third(peak.x)];
}

/** Why, in one short line: "Scratch, upper left, 0.93", or the cause of no decision. */
export function reasonOf(part: Inspection): string {
  if (part.verdict === 'no_decision') {
    // A newer daemon may know causes that this page does not.
    return part.cause ? (CAUSE_WORD[part.cause] ?? labelWord(part.cause)) : (part.detail ?? 'No cause given');
  }
  if (part.verdict === 'pass') return part.found.length ? `${labelWord(part.found[0]!.label)}, ${score(part.found[0]!.score)}` : 'No defect found';
  const worst = part.found[0] ?? (part.label ? scoreOf(part, part.label) : null);
  if (!worst) return part.detail ?? 'No label given';
  const words = [labelWord(worst.label)];
  const peak = part.heat?.label === worst.label ? peakOfPart(part) : null;
  if (peak) words.push(regionOf(peak));
  words.push(score(worst.score));
  return words.join(', ');
}

/** The other labels over their thresholds: "also pit 0.71, stain 0.55". */
export function alsoFound(part: Inspection): string | null {
  const others = part.verdict === 'pass' ? [] : part.found.slice(1);
  return others.length ? `also ${others.map((f) => `${labelWord(f.label).toLowerCase()} ${score(f.score)}`).join(', ')}` : null;
}

function scoreOf(part: Inspection, label: string) {
  return part.scores.find((s) => s.label === label) ?? null;
}

const score = (s: number) => s.toFixed(2);

/** What is to be said of a part's serial number: it was not read, another part had it, others were left out before it. */
export const identityWords = (part: Pick<Inspection, 'identity'>): string[] => {
  const identity = part.identity;
  if (!identity) return [];
  const words: string[] = [];
  if (identity.state === 'unread') words.push('serial not read');
  if (identity.repeats != null) words.push(`seen before: part ${identity.repeats}`);
  const missing = identity.missing;
  if (missing) words.push(missing.count === 1 ? `1 left out before it` : `${missing.count} left out before it (${missing.first} to ${missing.last})`);
  return words;
};

export const partName = (part: Pick<Inspection, 'id' | 'serial'>) => part.serial ?? `#${part.id}`;
