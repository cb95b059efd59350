import { describe, expect, it } from 'vitest';
import { alarmsOf, type Situation } from '../src/lib/alarms';
import { alertsOf } from '../mock/alerts';
import { status } from './parts';

const NOW = 100_000;
const live: Situation = { connection: { state: 'live', since: 0 }, status: status(), now: NOW, statusAt: NOW, lastTriggerAt: NOW, usualPauseS: 0, alerts: [] };
const ids = (change: Partial<Situation>) => alarmsOf({ ...live, ...change }).map((a) => a.id);

describe('alarmsOf', () => {
  it('says nothing on a healthy line', () => {
    expect(ids({})).toEqual([]);
  });
  it('shows the alerts of the daemon after its own stops, and an acknowledged one without colour', () => {
    const [hot, clock] = alertsOf(['gpu-hot', 'clock-free'], NOW);
    const seen = { ...hot!, id: 'alert_seen', acknowledged: { by: 'anna', at: '2026-01-01T00:00:00Z', comment: null } };
    const alarms = alarmsOf({ ...live, alerts: [clock!, seen, hot!], status: status({ state: 'safe_hold', state_reason: 'x' }) });
    expect(alarms.map((a) => [a.level, a.title])).toEqual([['stop', 'Safe hold'], ['attention', 'GPU hot'], ['info', 'Clock not set'], ['info', 'GPU hot']]);
    expect(alarms[3]!.text).toContain('Seen by anna');
  });
  it('gives the alert of drift its title', () => {
    expect(alarmsOf({ ...live, alerts: alertsOf(['drift'], NOW) })[0]).toMatchObject({ title: 'The line has changed', level: 'attention' });
  });
  it('does not say twice what the page sees by itself', () => {
    const hold = { ...alertsOf(['gpu-lost'], NOW)[0]!, rule: 'safe-hold' };
    expect(ids({ alerts: [hold], status: status({ state: 'safe_hold', state_reason: 'x' }) })).toEqual(['safe_hold']);
    expect(ids({ alerts: [hold] })).toEqual(['alert']);
  });
  it('puts a lost connection before all that may be old', () => {
    const lost = { state: 'lost', since: NOW - 8_000, reason: 'the daemon cannot be reached' } as const;
    expect(ids({ connection: lost, status: status({ state: 'safe_hold' }) })).toEqual(['connection', 'safe_hold']);
    expect(alarmsOf({ ...live, connection: lost })[0]!.text).toContain('8 s: the daemon cannot be reached');
  });
  it('gives the reason for a safe hold', () => {
    const [alarm] = alarmsOf({ ...live, status: status({ state: 'safe_hold', state_reason: 'stage infer failed 5 times' }) });
    expect(alarm).toMatchObject({ level: 'stop', text: expect.stringContaining('stage infer failed 5 times') });
  });
  it('cries out when the law is broken, either way', () => {
    const counts = { triggered: 10, pass: 5, fail: 1, review: 1, no_decision: 1, in_flight: 1 };
    expect(alarmsOf({ ...live, status: status({ counts }) })[0]).toMatchObject({ id: 'law', text: expect.stringContaining('1 part has no verdict') });
    expect(alarmsOf({ ...live, status: status({ counts: { ...counts, pass: 7 } }) })[0]!.text).toContain('counted twice');
  });
  it('notices counters that no longer move with the connection', () => {
    expect(ids({ statusAt: NOW - 6_000 })).toEqual(['old']);
  });
  it('calls a running line quiet after three usual pauses, never before ten seconds', () => {
    const busy = { status: status({ counts: { ...status().counts, triggered: 5, pass: 5 } }) };
    expect(ids({ ...busy, lastTriggerAt: NOW - 9_000 })).toEqual([]);
    expect(ids({ ...busy, lastTriggerAt: NOW - 11_000 })).toEqual(['quiet']);
    expect(ids({ ...busy, lastTriggerAt: NOW - 80_000, usualPauseS: 29 })).toEqual([]);
    expect(ids({ ...busy, lastTriggerAt: NOW - 90_000, usualPauseS: 29 })).toEqual(['quiet']);
  });
  it('takes a line that falls back to ready for quiet, but not one that has never had a part', () => {
    const { counts } = status();
    expect(ids({ lastTriggerAt: NOW - 11_000, status: status({ state: 'ready', counts: { ...counts, triggered: 5, pass: 5 } }) })).toEqual(['quiet']);
    expect(ids({ lastTriggerAt: NOW - 11_000, status: status({ state: 'ready' }) })).toEqual([]);
  });
  it('repeats what the line says of its source', () => {
    const [alarm] = alarmsOf({ ...live, status: status({ state_reason: 'camera `top`: no frame for 1.2 s; retrying' }) });
    expect(alarm).toMatchObject({ id: 'trouble', level: 'attention', text: 'camera `top`: no frame for 1.2 s; retrying' });
  });
  it('tells of a store that fails or rebuilds', () => {
    expect(alarmsOf({ ...live, status: status({ store: { state: 'failed', acknowledged: 1, detail: 'disk full' } }) })[0]).toMatchObject({ id: 'store', level: 'stop', text: 'disk full' });
    expect(ids({ status: status({ store: { state: 'rebuilding', acknowledged: 1, detail: null } }) })).toEqual(['rebuilding']);
  });
});
