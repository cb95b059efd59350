// The part of the interface that checks the line itself: golden samples and gauge studies.

import { read, send } from './api';
import { fixed, percent } from './format';
import { t } from './say';
import type { components } from './schema';

type Schemas = components['schemas'];

export type Golden = Schemas['Golden'];
export type GoldenRun = Schemas['GoldenRun'];
export type GoldenSample = Schemas['GoldenSample'];
export type GaugeStudies = Schemas['GaugeStudies'];
export type GaugeStudy = Schemas['GaugeStudy'];
export type GaugePlan = Schemas['GaugePlan'];
export type GaugeShare = Schemas['GaugeShare'];
export type GaugeGrade = Schemas['GaugeGrade'];
export type GaugeKappa = Schemas['GaugeKappa'];
export type Known = Schemas['Known'];

export const readGolden = () => read<Golden>('/golden');
export const startGolden = () => send<Golden>('POST', '/golden/runs', {});
export const cancelGolden = (reason: string | null) => send<Golden>('POST', '/golden/cancel', { reason });
export const overrideGolden = (reason: string) => send<Golden>('POST', '/golden/override', { reason });

export const readStudies = () => read<GaugeStudies>('/gauge');
export const readStudy = (number: number) => read<GaugeStudy>(`/gauge/${number}`);
export const planStudy = (plan: GaugePlan) => send<GaugeStudy>('POST', '/gauge', plan);
export const collectStudy = (number: number, on: boolean) => send<GaugeStudy>('POST', `/gauge/${number}/collect`, { on });
export const voidRating = (number: number) => send<GaugeStudy>('POST', `/gauge/${number}/void`, {});
export const removeStudy = (number: number) => send('DELETE', `/gauge/${number}`);
export const rateParts = (number: number, appraiser: string, ratings: { part: number; repeat: number; rating: Known }[]) =>
  send<GaugeStudy>('POST', `/gauge/${number}/ratings`, { appraiser, ratings });
export const reportUrl = (number: number, format: 'html' | 'csv') => `/api/v1/gauge/${number}/report?format=${format}`;

/** A share and the interval around it, apart; without an interval nothing is known. */
export function shareParts(share: GaugeShare): [string, string | null] {
  if (share.share == null || !share.ci) return ['–', null];
  return [percent(share.share), t('interval', { from: fixed(100 * share.ci[0]!, 1), to: fixed(100 * share.ci[1]!, 1) })];
}

export function kappaParts(kappa: GaugeKappa | null | undefined): [string, string | null] {
  if (!kappa) return ['–', null];
  return [fixed(kappa.value, 2), kappa.ci ? t('interval', { from: fixed(kappa.ci[0]!, 2), to: fixed(kappa.ci[1]!, 2) }) : null];
}

/** "97.9 % (94.2 to 99.6)"; a dash of nothing. */
const together = ([value, interval]: [string, string | null]) => (interval ? `${value} (${interval})` : value);
export const shareWords = (share: GaugeShare): string => together(shareParts(share));
export const kappaWords = (kappa: GaugeKappa | null): string => together(kappaParts(kappa));

/** Lines of a plan as a person types or pastes them: "part, good" or "part; bad". What is wrong is said in words. */
export function planParts(text: string): { parts: { name: string; master: Known }[]; problem: string | null } {
  const parts: { name: string; master: Known }[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    if (!line.trim()) continue;
    const fields = /^(.+?)[\s,;\t]+(good|bad)$/i.exec(line.trim());
    if (!fields) return { parts, problem: t('gauge.plan.line', { n: at + 1 }) };
    parts.push({ name: fields[1]!.trim(), master: fields[2]!.toLowerCase() as Known });
  }
  return { parts, problem: null };
}
