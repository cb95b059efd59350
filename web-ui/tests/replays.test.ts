import { describe, expect, it } from 'vitest';
import { barsOf, blank, cautionsOf, fatesOf, headline, localField, matrixOf, plain, QUICK, questionOf, rangeWord, requestOf, saidWord, ticksOf, triedWord, type Changed, type Report } from '../src/lib/replays';
import { routeOf } from '../src/lib/route';

const NOW = new Date(2026, 10, 26, 14, 30, 20).getTime();
const at = (minutes: number) => new Date(NOW + minutes * 60_000).toISOString();
const inForce = new Map([['good', 0.5], ['scratch', 0.3499999940395355]]);

const part = (id: number, minutes: number, serial: string | null): Changed => ({
  id, at: at(minutes), serial, before: { verdict: 'pass', cause: null, label: 'good' }, after: { verdict: 'fail', cause: null, label: 'edge_chip' }, top: null,
});
const numbers: Report['parts'] = { asked_for: 0, beyond_limit: 0, decided: 0, changed: 0, unchanged: 0, other_label: 0, not_reproduced: 0, without_picture: 0, missing: 0, unreadable: 0, without_scores: 0, undecidable: 0 };
const range: Report['range'] = { from: at(-60), to: at(0), serial: null, label: null, verdict: null, limit: 250_000 };

describe('the question', () => {
  it('is a shift by default, and says only what a person moved', () => {
    const question = blank(NOW);
    expect(requestOf(question, inForce, NOW)).toMatch(/^Move a threshold/);
    question.thresholds = { good: '', scratch: '0.35' };
    expect(requestOf(question, inForce, NOW)).toMatch(/^Move a threshold/);
    question.thresholds = { good: '0.5', scratch: '0.2' };
    expect(requestOf(question, inForce, NOW)).toEqual({ from: at(-480), to: at(0), thresholds: { scratch: 0.2 } });
  });

  it('asked of another model keeps every threshold that is given, since others may count there', () => {
    const question = { ...blank(NOW), model: 'abc', thresholds: { scratch: '0.35' }, serial: ' A1 ', label: 'scratch', verdict: 'pass' as const };
    expect(requestOf(question, inForce, NOW)).toEqual({ from: at(-480), to: at(0), model: 'abc', thresholds: { scratch: 0.35 }, serial: 'A1', label: 'scratch', verdict: 'pass' });
    expect(requestOf({ ...question, thresholds: {} }, inForce, NOW)).toMatchObject({ model: 'abc', thresholds: {} });
  });

  it('names what is wrong with it', () => {
    const moved = { ...blank(NOW), thresholds: { scratch: '0.2' } };
    for (const text of ['1.2', '-0.1', 'low', 'NaN', 'Infinity']) expect(requestOf({ ...moved, thresholds: { edge_chip: text } }, inForce, NOW)).toBe('The threshold of edge chip must lie between 0 and 1.');
    expect(requestOf({ ...moved, quickMs: null, from: '2026-11-26T14:00', to: '2026-11-26T13:00' }, inForce, NOW)).toMatch(/ends before it begins/);
    expect(requestOf({ ...moved, quickMs: null, from: '', to: '2026-11-26T13:00' }, inForce, NOW)).toMatch(/^Give the begin/);
  });

  it('can be asked again and loses no part to the minutes of its fields', () => {
    const asked = { range: { ...range, serial: 'A1', verdict: 'fail' }, model: null, thresholds: { scratch: 0.2 } };
    const again = requestOf(questionOf(asked), inForce, NOW);
    if (typeof again === 'string') throw new Error(again);
    expect(Date.parse(again.from)).toBeLessThanOrEqual(Date.parse(range.from));
    expect(Date.parse(again.to)).toBeGreaterThanOrEqual(Date.parse(range.to));
    expect(again).toMatchObject({ thresholds: { scratch: 0.2 }, serial: 'A1', verdict: 'fail' });
  });

  it('has its times as this screen shows them', () => {
    expect(localField(NOW)).toBe('2026-11-26T14:30');
    expect(QUICK.map(({ ms }) => ms / 3_600_000)).toEqual([1, 8, 24, 168]);
  });
});

describe('the answer', () => {
  it('is one sentence first', () => {
    const changed = [part(7, -30, 'A7'), part(9, -20, null)];
    expect(headline({ parts: { ...numbers, decided: 1_204, changed: 37 }, changed }, NOW)).toBe('37 of 1,204 parts would be decided otherwise; the first at 14:00, serial A7.');
    expect(headline({ parts: { ...numbers, decided: 1, changed: 1 }, changed: [part(9, -20, null)] }, NOW)).toBe('1 of 1 part would be decided otherwise: at 14:10, part #9.');
    expect(headline({ parts: { ...numbers, decided: 1_204 }, changed: [] }, NOW)).toBe('All 1,204 parts keep their verdict.');
    expect(headline({ parts: { ...numbers, decided: 1 }, changed: [] }, NOW)).toBe('The one part keeps its verdict.');
    expect(headline({ parts: numbers, changed: [] }, NOW)).toBe('No part of this range could be decided anew.');
  });

  it('counts every part that was not decided in words, and all together are what was asked for', () => {
    const which = { id: 1, at: at(0), serial: null };
    const n = { ...numbers, asked_for: 31, decided: 3, without_picture: 1, missing: 2, unreadable: 3, without_scores: 4, undecidable: 8, beyond_limit: 10 };
    const fates = fatesOf({ parts: n, range, undecidable: [{ reason: 'replay with a model (`--bundle`)', parts: 5, first: which, last: which }] }, 2);
    expect(fates.map((fate) => fate.parts)).toEqual([1, 2, 3, 4, 5, 3, 10]);
    expect(fates.reduce((sum, fate) => sum + fate.parts, n.decided)).toBe(n.asked_for);
    expect(fates[4]!.words).toBe('replay with a model');
    expect(fates[5]!.words).toContain('2 other reasons');
    expect(fatesOf({ parts: numbers, range, undecidable: [] })).toEqual([]);
  });

  it('says what else has to be known', () => {
    const recipes: Report['recipes'] = [{ recipe: 'a@1', parts: 1, source: 'model', taken: "the model's own thresholds" }, { recipe: 'a@2', parts: 4, source: 'file', taken: 'a@2' }];
    const words = cautionsOf({ parts: { ...numbers, not_reproduced: 2 }, notes: ['former recipes are not looked up'], recipes, damaged_bytes: 0 });
    expect(words).toHaveLength(3);
    expect(words[0]).toContain('2 parts');
    expect(words[1]).toBe("What stood in recipe a@1 (1 part) is not known any more. Taken for it: the model's own thresholds.");
    expect(words[2]).toBe('Former recipes are not looked up.');
    expect(cautionsOf({ parts: numbers, notes: [], recipes: [], damaged_bytes: 0 })).toEqual([]);
  });

  it('has a table of verdicts before and after, from good to bad', () => {
    const matrix = matrixOf({ verdicts: [{ before: 'fail', after: 'fail', parts: 3 }, { before: 'pass', after: 'fail', parts: 2 }] });
    expect([matrix.before, matrix.after]).toEqual([['pass', 'fail'], ['fail']]);
    expect([matrix.of('pass', 'fail'), matrix.of('pass', 'pass')]).toEqual([2, 0]);
    expect(saidWord({ verdict: 'fail', cause: null, label: 'edge_chip' })).toBe('Fail, edge chip');
    expect(saidWord({ verdict: 'pass', cause: null, label: 'good' })).toBe('Pass');
    expect(saidWord({ verdict: 'no_decision', cause: 'blank', label: null })).toBe('No decision, picture blank');
  });

  it('says what was asked', () => {
    const asked = { range: { ...range, serial: 'A1', label: 'edge_chip', verdict: 'fail' }, model: { name: 'tiny', digest: '5e3c9a1f7b2d' }, thresholds: { scratch: 0.3499999940395355 } };
    expect(triedWord(asked)).toBe('model tiny 5e3c9a1f, scratch from 0.35 on');
    expect(rangeWord(asked, NOW)).toBe('13:30 to 14:30, only serial A1, edge chip, fail');
  });
});

describe('the daemon\'s words', () => {
  it('have the times of this screen and no option of a terminal', () => {
    expect(plain(`the records reach from ${at(-60)} to ${at(0)}; name a model (\`--bundle\`), or ask again`, NOW)).toBe('the records reach from 13:30 to 14:30; name a model, or ask again');
  });
});

describe('since when', () => {
  it('is drawn step by step with its highest', () => {
    const step = { parts: 10, decided: 10, held_back: 2, let_through: 1, otherwise: 0 };
    const bars = barsOf({ from: at(-10), step_s: 60, steps: [step, { ...step, parts: 30, held_back: 0 }] })!;
    expect([bars.peak, bars.most, bars.to - bars.from, bars.steps[1]!.at - bars.from]).toEqual([3, 30, 120_000, 60_000]);
    expect(barsOf({ from: null, step_s: 0, steps: [] })).toBeNull();
  });

  it('has a few round times below, whatever the range', () => {
    for (const minutes of [1, 7, 60, 480, 1_440, 10_080, 400 * 1_440, 4_000 * 1_440]) {
      const ticks = ticksOf(NOW - minutes * 60_000, NOW);
      expect(ticks.length, `${minutes} minutes`).toBeGreaterThanOrEqual(2);
      expect(ticks.length, `${minutes} minutes`).toBeLessThanOrEqual(50);
      expect(ticks.every((tick) => tick.word !== '' && tick.at >= NOW - minutes * 60_000 && tick.at <= NOW)).toBe(true);
    }
    expect(ticksOf(NOW - 480 * 60_000, NOW).map((tick) => tick.word)).toEqual(['08:00', '10:00', '12:00', '14:00']);
  });
});

describe('the address', () => {
  it('names an answer by its number', () => {
    expect(routeOf('#replay')).toEqual({ page: 'replay', at: null });
    expect(routeOf('#replay/12')).toEqual({ page: 'replay', at: '12' });
    expect(routeOf('#replay/x').page).toBe('live');
  });
});
