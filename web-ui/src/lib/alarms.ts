// What takes over the top of the screen, worst first. One rule a condition; nothing here counts parts.

import type { Alert, LineStatus } from './api';
import { span } from './format';
import { unaccounted } from './law';
import { codeWord, t } from './say';
import type { Connection } from './stream';

export interface Alarm {
  id: 'connection' | 'old' | 'safe_hold' | 'not_ready' | 'stopped' | 'store' | 'law' | 'trouble' | 'quiet' | 'draining' | 'rebuilding' | 'alert';
  /** `stop`: do not trust the line or this page. `attention`: a person should look. `info`: worth knowing. */
  level: 'stop' | 'attention' | 'info';
  title: string;
  text: string;
  /** The daemon's alert that it shows. */
  alert?: Alert;
}

export interface Situation {
  connection: Connection;
  status: LineStatus | null;
  now: number;
  /** When the last status came, milliseconds. */
  statusAt: number | null;
  /** When the count of triggers last changed, milliseconds. */
  lastTriggerAt: number | null;
  /** How long the line usually goes without a part, seconds. */
  usualPauseS: number;
  /** The daemon's alerts that are on, the worst first. */
  alerts: Alert[];
}

/** A line is quiet when no part came for three times its usual pause, and never before ten seconds. */
const QUIET_AT_LEAST_S = 10;
const QUIET_FACTOR = 3;
/** The daemon sends one every second. */
const OLD_AFTER_MS = 5_000;

export function alarmsOf(s: Situation): Alarm[] {
  const rules = [connection, old, safeHold, notReady, stopped, store, law, trouble, quiet, draining, rebuilding];
  const own = rules.map((rule) => rule(s)).filter((alarm) => alarm !== null);
  return [...own, ...alertsOf(s)].sort((a, b) => RANK[a.level] - RANK[b.level]);
}

const RANK = { stop: 0, attention: 1, info: 2 } as const;

/** What the page sees by itself, and says in larger letters, is not said a second time. */
const OWN: Record<string, (s: Situation) => Alarm | null> = { 'safe-hold': safeHold, 'camera-lost': trouble, 'store-degraded': store };

/**
 * The daemon's alerts. Only the page's own alarms fill the screen: an alert asks for a person, and once somebody has
 * acknowledged it, it stays in sight without colour.
 */
function alertsOf(s: Situation): Alarm[] {
  return s.alerts
    .filter((alert) => !OWN[alert.rule]?.(s))
    .map((alert) => ({
      id: 'alert',
      level: alert.acknowledged || alert.severity === 'info' ? 'info' : 'attention',
      title: titleOf(alert.rule),
      text: alert.acknowledged ? t('alarm.seen-by', { text: alert.text, name: alert.acknowledged.by }) : alert.text,
      alert,
    }));
}

/** Rules that ship have a title; of others the name: `gpu-warm` as `GPU warm`. */
function titleOf(rule: string): string {
  const known = codeWord('rule', rule);
  if (known) return known;
  const words = rule.replaceAll(/[-_]/g, ' ').replace(/\bgpu\b/, 'GPU');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function connection({ connection: c, now, status }: Situation): Alarm | null {
  if (c.state !== 'lost') return null;
  const what = { time: span(now - c.since), reason: c.reason };
  return { id: 'connection', level: 'stop', title: t('alarm.connection'), text: status ? t('alarm.connection.text-old', what) : t('alarm.connection.text', what) };
}

/** Parts may still arrive while the daemon's status no longer does: then the counters are old and must say so. */
function old({ connection: c, now, statusAt }: Situation): Alarm | null {
  if (c.state !== 'live' || statusAt === null || now - statusAt < OLD_AFTER_MS) return null;
  return { id: 'old', level: 'stop', title: t('alarm.old'), text: t('alarm.old.text', { time: span(now - statusAt) }) };
}

function safeHold({ status }: Situation): Alarm | null {
  if (status?.state !== 'safe_hold') return null;
  const reason = status.state_reason ?? t('alarm.no-reason');
  return { id: 'safe_hold', level: 'stop', title: t('state.safe_hold'), text: t('alarm.safe-hold.text', { reason }) };
}

/** Golden samples are due, or were judged wrong: nothing is decided until they are shown. */
function notReady({ status }: Situation): Alarm | null {
  if (status?.state !== 'not_ready') return null;
  return { id: 'not_ready', level: 'stop', title: t('state.not_ready'), text: t('alarm.not-ready.text', { reason: status.state_reason ?? t('alarm.no-reason') }) };
}

function stopped({ status }: Situation): Alarm | null {
  if (status?.state !== 'stopped') return null;
  const why = status.state_reason ? ` ${status.state_reason}` : '';
  return { id: 'stopped', level: 'attention', title: t('alarm.stopped'), text: t('alarm.stopped.text') + why };
}

function store({ status }: Situation): Alarm | null {
  if (status?.store.state !== 'failed') return null;
  return {
    id: 'store',
    level: 'stop',
    title: t('alarm.store'),
    text: status.store.detail ?? t('alarm.store.text'),
  };
}

function law({ status }: Situation): Alarm | null {
  if (!status) return null;
  const lost = unaccounted(status.counts);
  if (lost === 0) return null;
  return {
    id: 'law',
    level: 'stop',
    title: t('alarm.law'),
    text: t(lost > 0 ? 'alarm.law.missing' : 'alarm.law.twice', { n: Math.abs(lost) }),
  };
}

/** The line goes on, but something is wrong with its source. */
function trouble({ status }: Situation): Alarm | null {
  const up = status?.state === 'running' || status?.state === 'ready';
  if (!up || status.state_reason === null) return null;
  return { id: 'trouble', level: 'attention', title: t('alarm.trouble'), text: status.state_reason };
}

function quiet({ status, now, lastTriggerAt, usualPauseS, connection: c }: Situation): Alarm | null {
  // A line that waits for its first part is not quiet, it is new; one that had parts falls back to `ready` when they end.
  const expectsParts = (status?.state === 'running' || status?.state === 'ready') && status.counts.triggered > 0;
  if (!expectsParts || c.state !== 'live' || lastTriggerAt === null) return null;
  const silentMs = now - lastTriggerAt;
  if (silentMs < 1000 * Math.max(QUIET_AT_LEAST_S, QUIET_FACTOR * usualPauseS)) return null;
  return {
    id: 'quiet',
    level: 'attention',
    title: t('alarm.quiet'),
    text: t('alarm.quiet.text', { time: span(silentMs), source: status.source.name }),
  };
}

function draining({ status }: Situation): Alarm | null {
  if (status?.state !== 'draining') return null;
  const n = status.counts.in_flight;
  return { id: 'draining', level: 'info', title: t('state.draining'), text: t('alarm.draining.text', { n }) };
}

function rebuilding({ status }: Situation): Alarm | null {
  if (status?.store.state !== 'rebuilding') return null;
  return {
    id: 'rebuilding',
    level: 'info',
    title: t('alarm.rebuilding'),
    text: status.store.detail ?? t('alarm.rebuilding.text'),
  };
}
