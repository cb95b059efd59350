// Made-up golden samples, gauge study, health, recipes and set-up.
// `POST /mock?golden=refused|on|overridden|well`, `?setup=new|showing|shown|learning|done` puts them in another state.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GaugeStudy, Golden, GoldenRun } from '../src/lib/checks';
import type { MachineHealth, Plc } from '../src/lib/health';
import type { RecipeDetail, Recipes, Setup, Tradeoff } from '../src/lib/setup';
import { json, problem } from './answers.ts';
import { MODEL_DIGEST, type MockLine } from './line.ts';

const HOUR = 3_600_000;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

export class MockChecks {
  #golden = 'refused';
  #setup = 'shown';

  constructor(private readonly line: MockLine) {}

  set(want: URLSearchParams): void {
    this.#golden = want.get('golden') ?? this.#golden;
    this.#setup = want.get('setup') ?? this.#setup;
  }

  /** Whether the path was one of these. */
  answer(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    const gets: Record<string, () => unknown> = {
      '/golden': () => this.#goldenView(),
      '/gauge': () => ({ studies: [head()], on: 1, halted: null }),
      '/gauge/1': study,
      '/health': health,
      '/plc': plc,
      '/recipes': recipes,
      '/recipes/demo@2': () => detail(),
      '/recipes/demo@1': () => detail(),
      '/setup': () => this.#setupView(),
      '/setup/tradeoff': tradeoff,
      '/alerts': () => ({ active: this.line.alerts, recent: [] }),
    };
    const made = gets[decodeURIComponent(path)];
    const posts: Record<string, string> = { '/golden/runs': 'on', '/golden/cancel': 'refused', '/golden/override': 'overridden' };
    if (req.method === 'GET' && made) json(res, made());
    else if (req.method === 'POST' && posts[path]) {
      this.#golden = posts[path]!;
      json(res, this.#goldenView());
    } else if (req.method !== 'GET' && /^\/(golden|gauge|recipes|setup)/.test(path)) problem(res, 409, 'the made-up line keeps nothing of this');
    else return false;
    return true;
  }

  #goldenView(): Golden {
    const base: Golden = { recipe: 'demo@2', samples: samples(0), by_serial: false, shifts: ['06:00', '14:00', '22:00'], every_h: 0, on_changeover: true, refused: null, next_due: ago(-3 * HOUR), proof: null, on: null, runs: [run(4, 'failed'), run(3, 'passed'), run(2, 'cancelled'), run(1, 'passed')] };
    if (this.#golden === 'on') return { ...base, on: { ...run(5, null), samples: samples(2) } };
    if (this.#golden === 'refused') return { ...base, refused: 'golden samples, run 4: 1 of 4 judged wrong: `BAD-2` is bad (pit) and passed; show them again, or an engineer overrides with a reason (`inspectd golden`)' };
    const overridden = this.#golden === 'overridden';
    return { ...base, proof: { at: ago(0.4 * HOUR), recipe: 'demo@2', run: overridden ? null : 3, by: 'anna', reason: overridden ? 'samples are at the lab' : null } };
  }

  #setupView(): Setup {
    const ids = this.line.latest(20, null).map((part) => part.id);
    const shown = { new: 0, showing: 11, shown: 20, learning: 20, done: 20 }[this.#setup] ?? 0;
    const learning = this.#setup === 'learning' || this.#setup === 'done' ? this.#setup : 'idle';
    return { lesson: { on: this.#setup === 'showing', wanted: 20, parts: ids.slice(0, shown), spoilt: this.#setup === 'showing' ? 1 : 0 }, learning, since: ago(42_000), words: 'from 20 good parts', recipe: this.#setup === 'done' ? 'demo@3' : null } as Setup;
  }
}

function samples(judged: number): Golden['samples'] {
  const all = [['GOOD-1', 'good', null], ['GOOD-2', 'good', null], ['BAD-1', 'bad', 'scratch'], ['BAD-2', 'bad', 'pit']] as const;
  return all.map(([name, known, label], at) => ({ name, known, label, serial: null, judged: at < judged ? { part: 4000 + at, at: ago(9000), verdict: 'pass', label: 'good', right: known === 'good' } : null }));
}

function run(number: number, outcome: GoldenRun['outcome']): GoldenRun {
  const words = { passed: 'all 4 samples were judged right', failed: '1 of 4 judged wrong: `BAD-2` is bad (pit) and passed', cancelled: 'cancelled after 1 of 4 samples', interrupted: '' };
  return { number, at: ago((5 - number) * 8 * HOUR), by: 'anna', recipe: 'demo@2', model: MODEL_DIGEST, samples: samples(4), outcome, ended_at: outcome && ago(0), words: outcome && words[outcome] };
}

const head = () => ({ number: 1, name: 'Housing, spring', at: ago(26 * HOUR), by: 'eve', parts: 6, repeats: 3, by_serial: false, seen: 14, of: 18, on: true });

function study(): GaugeStudy {
  const share = (seen: number, of: number, low: number, high: number) => ({ seen, of, share: seen / of, ci: [low, high] });
  const one = (name: string, wrong: number): GaugeStudy['figures']['appraisers'][number] => ({ name, ratings: 150, repeatability: share(48 - wrong, 50, 0.86, 0.99), effectiveness: share(47 - wrong, 50, 0.83, 0.99), miss: share(wrong, 48, 0, 0.11), false_alarm: share(2, 102, 0.002, 0.07), kappa_within: { value: 0.94, ci: null }, kappa_master: { value: 0.92 - wrong / 30, ci: [0.85, 0.98] }, effectiveness_grade: 'acceptable', miss_grade: wrong > 2 ? 'unacceptable' : 'acceptable', false_alarm_grade: 'acceptable', kappa_grade: 'acceptable', grade: wrong > 2 ? 'unacceptable' : 'acceptable' });
  const parts = ['P-01', 'P-02', 'P-03', 'P-04', 'P-05', 'P-06'].map((name, at) => ({ name, master: at % 3 === 2 ? 'bad' : 'good', said: [{ appraiser: 'line', ratings: ['good', at % 3 === 2 ? 'bad' : 'good', at < 2 ? 'good' : null] }, { appraiser: 'ben', ratings: ['good', 'good', null] }] })) as GaugeStudy['parts_list'];
  return { ...head(), recipe: 'demo@2', model: MODEL_DIGEST, next: { part: 4, name: 'P-04', repeat: 3 }, parts_list: parts, halted: null, figures: { appraisers: [one('line', 0), one('ben', 4)], pairs: [{ first: 'line', second: 'ben', kappa: { value: 0.81, ci: [0.7, 0.92] } }], all_agree: share(41, 50, 0.69, 0.91), all_right: share(40, 50, 0.66, 0.9), kappa_all: { value: 0.85, ci: null } } };
}

function health(): MachineHealth {
  const disk = (path: string, free: number, days: number | null) => ({ path, total_bytes: 1e12, free_bytes: free, days_left: days });
  const card: MachineHealth['gpus']['cards'][number] = { uuid: 'GPU-1', name: 'NVIDIA T4', busy_percent: 37, memory_used_bytes: 3.1e9, memory_total_bytes: 16e9, temperature_c: 71, slowdown_c: 93, power_w: 48.2, power_limit_w: 70, throttled_by: [], ecc_uncorrected: 0, xid: [] };
  const stages = ['quality', 'identify', 'align', 'preprocess', 'infer', 'decide'].map((stage, at) => ({ stage, waiting: at === 4 ? 3 : 0, capacity: 8 }));
  return { at: ago(0), gpus: { cards: [card], trouble: null }, cpu: { cores: 8, busy_percent: 41.3, load_1m: 3.1 }, memory: { total_bytes: 32e9, available_bytes: 21e9, own_bytes: 0.9e9 }, disks: [disk('/var/lib/inspectd', 61e9, 9.4), disk('/var/log', 640e9, null)], clock: 'synchronised', plc: plc(), kept: kept(), queues: { parts_in_flight: 2, stages, records_pending: 1, messages_waiting: 0, dead_letters: 0 } };
}

function kept(): MachineHealth['kept'] {
  const of = (verdict: 'pass' | 'fail' | 'review' | 'no_decision', pictures: number, days: number) => ({ verdict, pictures, bytes: pictures * 412_000, oldest: ago(days * 24 * HOUR) });
  return { limited: true, counted: true, busy: false, trouble: null, pictures: 212_000, picture_bytes: 87.3e9, most_bytes: 120e9, by_verdict: [of('pass', 171_000, 30), of('fail', 29_800, 410), of('review', 9_900, 380), of('no_decision', 1_300, 402)], waiting: 41, held: 3, holds: 2, bytes_a_day: 3.2e9, days_left: 10.2, record_bytes: 41e9, records_since: ago(700 * 24 * HOUR), let_go: { pictures: 1_912_004, bytes: 7.9e11, records: 12_400_000 } };
}

function plc(): Plc {
  const result = { id: 4711, verdict: 'pass', cause: 0, accept: true, label: 1, score: 9932, part: 812, latency_us: 41_000 } as const;
  const outputs = { trigger_ready: true, trigger_ack: false, result_ready: true, busy: false, error: false, heartbeat: true, ack_overdue: false, beat: 1234, session: 77, error_code: 0, recipe: 2, ack_id: 4711, missed: 0, result };
  const counts = { triggered: 812, pass: 790, fail: 17, review: 4, no_decision: 1, in_flight: 0, waiting: 1, acknowledged: 811, late_acks: 0, missed: 0, doubled: 1, refused: 0 };
  return { link: 'Modbus TCP server on 10.0.0.5:502', state: 'ready', detail: null, outputs, counts, without_frame: 0, stale_frames: 0, connections: 1, refused_connections: 0, wrong_requests: 0, heard_ms_ago: 12, recent: [1, 2, 3].map((n) => ({ result: { ...result, id: 4711 - n }, ms_ago: 900 * n, decided_ms: 38.2 + n, acknowledged_ms: 9.1 })) };
}

const CHANGES = [
  { key: 'regions[0].area.x', before: null, after: '180' },
  { key: 'regions[0].name', before: null, after: '"lid"' },
  { key: 'thresholds.scratch', before: '0.5', after: '0.4' },
];
const version = (n: number) => ({ tag: `demo@${n}`, at: ago((3 - n) * 20 * HOUR), by: n === 1 ? 'file' : 'eve', reason: n === 1 ? null : 'only the lid matters', from: n === 1 ? null : 'demo@1', in_force: n === 2, changes: n === 1 ? [] : CHANGES });

function recipes(): Recipes {
  return { in_force: 'demo@2', versions: [version(2), version(1)], changeovers: [{ tag: 'demo@2', at: ago(19 * HOUR), by: 'eve', reason: 'tried on ten parts' }, { tag: 'demo@1', at: ago(50 * HOUR), by: 'file', reason: null }] };
}

function detail(): RecipeDetail {
  const text = 'name = "demo"\nversion = 2\ndeadline_ms = 500\n\n[thresholds]\nscratch = 0.4\n\n[[regions]]\nname = "lid"\narea = { x = 180, y = 120, width = 160, height = 200 }\n';
  return { ...version(2), text, recipe: { name: 'demo', version: 2, thresholds: { scratch: 0.4 }, regions: [{ name: 'lid', area: { x: 180, y: 120, width: 160, height: 200 } }], mask: [{ rectangle: [20, 400, 120, 60] }] }, against_in_force: [] };
}

function tradeoff(): Tradeoff {
  const ci = (n: number, of: number): number[] => [Math.max(0, n / of - 0.02), Math.min(1, n / of + 0.03)];
  const points = Array.from({ length: 101 }, (_, at) => {
    const [escapes, overkill] = [Math.round(60 * (at / 100) ** 4), Math.round(420 * (1 - at / 100) ** 6)];
    return { threshold: at / 100, escapes, escapes_ci: ci(escapes, 84), overkill, overkill_ci: ci(overkill, 431), review: 7 };
  });
  return { label: 'scratch', threshold: 0.4, good: 431, bad: 84, others: 12, points };
}
