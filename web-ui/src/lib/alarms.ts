// What takes over the top of the screen, worst first. One rule a condition; nothing here counts parts.

import type { Alert, LineStatus } from './api';
import { span } from './format';
import { unaccounted } from './law';
import type { Connection } from './stream';

export interface Alarm {
  id: 'connection' | 'old' | 'safe_hold' | 'stopped' | 'store' | 'law' | 'trouble' | 'quiet' | 'draining' | 'rebuilding' | 'alert';
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
  const rules = [connection, old, safeHold, stopped, store, law, trouble, quiet, draining, rebuilding];
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
      text: alert.acknowledged ? `${alert.text}. Seen by ${alert.acknowledged.by}.` : alert.text,
      alert,
    }));
}

/** Rules that ship, in an operator's words. */
const TITLES: Record<string, string> = {
  'camera-lost': 'Camera lost',
  'clock-free': 'Clock not set',
  'disk-days': 'Disk fills up',
  drift: 'The line has changed',
  lateness: 'Verdicts too late',
  'memory-low': 'Memory low',
  'outbox-stuck': 'Messages not delivered',
  overload: 'Line overloaded',
  'provider-fell-back': 'Slower than before',
  'reject-rate': 'Many rejects',
  'store-degraded': 'Records in danger',
  'tool-mark': 'Same defect, same place',
};

/** `gpu-hot` as `GPU hot`. */
function titleOf(rule: string): string {
  const known = TITLES[rule];
  if (known) return known;
  const words = rule.replaceAll(/[-_]/g, ' ').replace(/\bgpu\b/, 'GPU');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function connection({ connection: c, now, status }: Situation): Alarm | null {
  if (c.state !== 'lost') return null;
  const shown = status ? ' What you see below is old.' : '';
  return {
    id: 'connection',
    level: 'stop',
    title: 'Connection lost',
    text: `No live data for ${span(now - c.since)}: ${c.reason}.${shown} Trying again.`,
  };
}

/** Parts may still arrive while the daemon's status no longer does: then the counters are old and must say so. */
function old({ connection: c, now, statusAt }: Situation): Alarm | null {
  if (c.state !== 'live' || statusAt === null || now - statusAt < OLD_AFTER_MS) return null;
  return { id: 'old', level: 'stop', title: 'Counters are old', text: `The daemon has sent no status for ${span(now - statusAt)}.` };
}

function safeHold({ status }: Situation): Alarm | null {
  if (status?.state !== 'safe_hold') return null;
  const why = status.state_reason ?? 'the daemon gave no reason';
  return {
    id: 'safe_hold',
    level: 'stop',
    title: 'Safe hold',
    text: `Every part gets No decision and is treated as a reject. Why: ${why}`,
  };
}

function stopped({ status }: Situation): Alarm | null {
  if (status?.state !== 'stopped') return null;
  const why = status.state_reason ? ` ${status.state_reason}` : '';
  return { id: 'stopped', level: 'attention', title: 'Line stopped', text: `No part is being inspected.${why}` };
}

function store({ status }: Situation): Alarm | null {
  if (status?.store.state !== 'failed') return null;
  return {
    id: 'store',
    level: 'stop',
    title: 'Records are not being kept',
    text: status.store.detail ?? 'The daemon gave no detail: look at its log.',
  };
}

function law({ status }: Situation): Alarm | null {
  if (!status) return null;
  const lost = unaccounted(status.counts);
  if (lost === 0) return null;
  return {
    id: 'law',
    level: 'stop',
    title: 'Counters do not add up',
    text: `${Math.abs(lost)} part(s) ${lost > 0 ? 'have no verdict' : 'were counted twice'}. This must never happen: stop and report it.`,
  };
}

/** The line goes on, but something is wrong with its source. */
function trouble({ status }: Situation): Alarm | null {
  const up = status?.state === 'running' || status?.state === 'ready';
  if (!up || status.state_reason === null) return null;
  return { id: 'trouble', level: 'attention', title: 'Trouble at the source', text: status.state_reason };
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
    title: 'No parts',
    text: `The line is up, but no part has come for ${span(silentMs)}. Look at the trigger and at source ${status.source.name}.`,
  };
}

function draining({ status }: Situation): Alarm | null {
  if (status?.state !== 'draining') return null;
  const n = status.counts.in_flight;
  return { id: 'draining', level: 'info', title: 'Draining', text: `No new parts are taken; ${n} in flight.` };
}

function rebuilding({ status }: Situation): Alarm | null {
  if (status?.store.state !== 'rebuilding') return null;
  return {
    id: 'rebuilding',
    level: 'info',
    title: 'Search index is being rebuilt',
    text: status.store.detail ?? 'Older parts appear as it goes on. The line is not affected.',
  };
}
