// The part of the interface that is about the machine and everything that the line rests on.

import { read, type Alerts, type LineStatus } from './api';
import { count, fixed } from './format';
import { t, type PlainKey } from './say';
import type { components } from './schema';

type Schemas = components['schemas'];

export type MachineHealth = Schemas['MachineHealth'];
export type Plc = Schemas['Plc'];
export type Disk = Schemas['DiskReport'];
export type Kept = Schemas['Retention'];

export const readHealth = () => read<MachineHealth>('/health');
export const readAlerts = () => read<Alerts>('/alerts');
export const readPlc = () => read<Plc>('/plc');

/** "12.3 GB"; powers of ten, as disks are sold. */
export function bytesWords(bytes: number | null | undefined): string {
  if (bytes == null) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let value = bytes;
  while (value >= 999.5 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${value >= 99.5 || at === 0 ? count(Math.round(value)) : fixed(value, 1)} ${units[at]}`;
}

/** Days until a disk is full: what they say, and whether somebody should look. */
export function daysWords(days: number | null | undefined): { text: string; odd: boolean } {
  if (days == null) return { text: t('health.days.none'), odd: false };
  if (days < 1) return { text: t('health.days.today'), odd: true };
  if (days > 365) return { text: t('health.days.year'), odd: false };
  const whole = Math.floor(days);
  return { text: t('health.days', { n: whole }), odd: days < 14 };
}

/** For how long pictures are kept as they are. To let the oldest go is what limits are for, and nothing to look into. */
export function roomWords(kept: Kept): string {
  if (!kept.counted) return t('kept.counting');
  if (!kept.limited) return t('kept.unlimited');
  if (kept.days_left === null) return t('kept.unknown');
  if (kept.busy || kept.days_left < 0.05) return t('kept.making-room');
  if (kept.days_left < 1) return t('kept.today');
  return kept.days_left > 365 ? t('kept.year') : t('kept.days', { n: Math.floor(kept.days_left) });
}

/** What a camera counts that a healthy one does not, in words. */
export function cameraFaults(source: LineStatus['source']): [PlainKey, number][] {
  const s = source.statistics;
  if (!s) return [];
  return [
    ['health.fault.holes', s.incomplete],
    ['health.fault.missing', s.missing],
    ['health.fault.late', s.late],
    ['health.fault.stale', s.stale],
    ['health.fault.repeated', s.repeated],
    ['health.fault.frozen', s.frozen],
    ['health.fault.unanswered', s.unanswered],
    ['health.fault.unbuffered', s.unbuffered],
    ['health.fault.lost', s.lost],
    ['health.fault.stalls', s.stalls],
    ['health.fault.packets', s.packets_missing],
    ['health.fault.resent', s.packets_resent],
    ['health.fault.underruns', s.underruns],
  ];
}
