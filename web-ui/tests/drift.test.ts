import { describe, expect, it } from 'vitest';
import type { Drift, DriftHour, DriftMeasure, DriftReading } from '../src/lib/drift';
import { nearest, rangeOf, rangeStart, runsOf, spotsOf, ticksOf, timeTicksOf, windowFor } from '../src/lib/drift-chart';
import { adviceOf, changeWords, gatheredShare, limitWord, moment, nameOf, sentenceOf, sinceOf, standingOf, valueWord } from '../src/lib/drift-words';
import { routeOf } from '../src/lib/route';

const HOUR = 3_600_000;
/** A Wednesday noon, by the clock of wherever this runs. */
const NOW = new Date(2026, 5, 17, 12, 30).getTime();
const at = (hoursAgo: number) => new Date(NOW - hoursAgo * HOUR).toISOString();

const LIMITS = { brightness: [100, 90, 110], contrast: [30, 27, 33], sharpness: [400, 360, 440], embedding: [0.05, null, 0.1], scores: [0, null, 0.25] } as const;

function reading(measure: DriftMeasure, value: number, hoursAgo = 0): DriftReading {
  const [usual, low, high] = LIMITS[measure];
  return { measure, from: at(hoursAgo), to: at(hoursAgo - 0.9), parts: 200, value, usual, low, high, beyond: value > high || (low !== null && value < low), words: '' };
}

/** Hours one after the other, the present one last: the brightness of each, null where nothing could be said. */
function course(...brightness: (number | null)[]): DriftHour[] {
  return brightness.map((value, i) => {
    const ago = brightness.length - 1 - i;
    return { from: at(ago), to: at(ago - 0.9), parts: 200, distance: null, readings: value === null ? [] : [reading('brightness', value, ago)] };
  });
}

const known = { since: at(300), parts: 500, known: true };
const drift = (change: Partial<Drift> = {}): Drift => ({ product: 'cap', model: 'ab', knows_its_training: true, usual: { parts: 500, minutes: 60, pictures: known, model: known }, now: [], hours: [], ...change });
const darker = (...brightness: (number | null)[]) => drift({ hours: course(...brightness), now: [reading('brightness', 80)] });

describe('since when', () => {
  it('is the first hour of the unbroken run beyond', () => {
    expect(sinceOf(darker(80, 100, 80, 80, 80), reading('brightness', 80))).toBe(at(2));
  });
  it('is not broken by an hour of which nothing can be said', () => {
    expect(sinceOf(darker(100, 80, null, null, 80, null), reading('brightness', 80))).toBe(at(4));
  });
  it('is the reading itself where no hour speaks of it', () => {
    expect(sinceOf(drift(), reading('brightness', 80, 1))).toBe(at(1));
  });
  it('does not reach back over what was usual before', () => {
    const view = darker(80, 80, 80, 80);
    view.usual = { ...view.usual, pictures: { ...known, since: at(1) } };
    expect(sinceOf(view, reading('brightness', 80))).toBe(at(1));
    // The model's usual is another matter.
    view.usual = { ...view.usual, pictures: known, model: { ...known, since: at(1) } };
    expect(sinceOf(view, reading('brightness', 80))).toBe(at(3));
  });
  it('is that of the measure which changed first', () => {
    const view = darker(100, 80, 80);
    view.now.push(reading('embedding', 0.2));
    view.hours.at(-1)!.readings.push(reading('embedding', 0.2));
    const standing = standingOf(view);
    expect(standing).toMatchObject({ kind: 'changed', since: at(1) });
    expect(standing.kind === 'changed' && standing.changes.map((change) => change.since)).toEqual([at(1), at(0)]);
  });
});

describe('the sentence', () => {
  const say = (view: Drift) => sentenceOf(standingOf(view), view, NOW);
  it('says what has changed, in which direction', () => {
    expect(say(darker(100, 80, 80))).toBe('Changed since 11:30: pictures are darker');
    const both = [reading('embedding', 0.2), reading('sharpness', 300), reading('brightness', 120)];
    expect(changeWords(both, true)).toBe('pictures are brighter and blurred, and parts look unlike what the model learned from');
    expect(changeWords([reading('scores', 1), reading('embedding', 0.2), reading('contrast', 20)], false)).toBe('pictures are flatter, parts look unlike the line’s first ones, and the model finds parts otherwise than usual');
    expect(changeWords([reading('contrast', 40), reading('sharpness', 500), reading('brightness', 80)], true)).toBe('pictures are darker, harsher and sharper');
  });
  it('is "As usual" only where something can be said', () => {
    expect(say(drift({ now: [reading('brightness', 100)], hours: course(80, 100) }))).toBe('As usual');
    expect(say(drift({ hours: course(100, null) }))).toBe('Too few parts to tell');
    expect(standingOf(drift({ product: '', usual: { ...drift().usual, pictures: { since: null, parts: 0, known: false }, model: { since: null, parts: 0, known: false } } })).kind).toBe('empty');
  });
  it('says how far what is usual is learned, by parts and then by time', () => {
    const learning = (parts: number, hoursAgo: number) => {
      const gathered = { since: at(hoursAgo), parts, known: false };
      return drift({ hours: [{ from: at(hoursAgo), to: at(0), parts, distance: null, readings: [] }], usual: { parts: 500, minutes: 60, pictures: gathered, model: { ...gathered, parts: parts - 10 } } });
    };
    expect(say(learning(230, 0.75))).toBe('Learning what is usual: 230 of 500 parts, at least 60 minutes');
    expect(say(learning(1840, 0.75))).toBe('Learning what is usual: 1,840 parts, 45 of 60 minutes');
    expect(gatheredShare(learning(250, 2).usual.pictures, learning(250, 2))).toBe(0.5);
    expect(gatheredShare(learning(900, 0.25).usual.pictures, learning(900, 0.25))).toBe(0.25);
    // Begun anew a moment ago: the hours before do not count.
    const anew = { since: null, parts: 0, known: false };
    expect(gatheredShare(anew, drift({ hours: course(100) }))).toBe(0);
  });
  it('speaks up for the pictures while another model is still being learned', () => {
    const usual = { ...drift().usual, model: { since: at(0.2), parts: 80, known: false } };
    expect(standingOf(drift({ usual, now: [reading('brightness', 100)] })).kind).toBe('usual');
    expect(standingOf(drift({ usual, now: [reading('brightness', 80)] })).kind).toBe('changed');
  });
});

describe('where to look', () => {
  it('names each place once, and the parts where no picture has changed', () => {
    expect(adviceOf([reading('brightness', 80), reading('contrast', 40)])).toBe('Look at the light, the exposure and reflections.');
    expect(adviceOf([reading('embedding', 0.2), reading('sharpness', 300)])).toBe('Look at the focus and the lens (dirt, fog).');
    expect(adviceOf([reading('embedding', 0.2)])).toBe('Look at the parts: other material, another supplier, a worn tool.');
  });
});

describe('words', () => {
  it('gives a time as near as it is', () => {
    expect([0, 13, 24 * 2, 24 * 20].map((ago) => moment(at(ago), NOW))).toEqual(['12:30', 'yesterday 23:30', 'Mon 12:30', '28 May 12:30']);
  });
  it('gives values with their unit and limits', () => {
    expect([valueWord('embedding', 0.0518), valueWord('scores', 0.253), valueWord('brightness', 99.96), valueWord('sharpness', 1234.5)]).toEqual(['5.2%', '0.25', '100.0', '1,235']);
    expect([limitWord(reading('brightness', 1)), limitWord(reading('embedding', 1))]).toEqual(['limits 90.0 to 110.0', 'limit 10.0%']);
  });
  it('has an address of its own', () => {
    expect([routeOf('#drift'), routeOf('#drifting')]).toEqual([{ page: 'drift', at: null }, { page: 'live', at: null }]);
  });
  it('does not claim that a model knows its training', () => {
    expect(nameOf('embedding', true).what).toContain('the model learned from');
    expect(nameOf('embedding', false).what).toContain('the line’s first parts');
  });
});

describe('the chart', () => {
  const spots = (...brightness: (number | null)[]) => spotsOf(course(...brightness), 'brightness', NOW - 100 * HOUR);
  it('breaks its line where nothing could be said and where the line stood still', () => {
    const lengths = (found: ReturnType<typeof runsOf>) => found.map((run) => run.length);
    expect(lengths(runsOf(spots(100, 101, null, 99)))).toEqual([2, 1]);
    const still = spots(100, 101, 102, 103).filter((_, i) => i !== 1 && i !== 2);
    expect(lengths(runsOf(still))).toEqual([1, 1]);
    expect(runsOf(spots(null, null))).toEqual([]);
  });
  it('has all values and limits in its scale, and a scale even for nothing', () => {
    const [low, high] = rangeOf(spots(80, 100), false);
    expect(low < 80 && high > 110).toBe(true);
    expect(rangeOf(spots(80), true)[0]).toBe(0);
    expect(rangeOf([], false)).toEqual([0, 1]);
    expect(ticksOf([78, 114])).toEqual([80, 100]);
    expect(ticksOf([0, 0.11])).toEqual([0, 0.05, 0.1]);
  });
  it('opens on a window that shows the change begin', () => {
    expect([windowFor(null, NOW), windowFor(at(5), NOW), windowFor(at(20), NOW), windowFor(at(60), NOW), windowFor(at(400), NOW)]).toEqual([24, 24, 72, 336, 336]);
  });
  it('has its ticks at whole hours of the wall', () => {
    const words = (hours: 24 | 72 | 336) => timeTicksOf(rangeStart(NOW, hours), NOW, hours).map((tick) => tick.word);
    expect(words(24)).toEqual(['18:00', 'Wed', '06:00', '12:00']);
    expect(words(72)).toEqual(['Mon', '12:00', 'Tue', '12:00', 'Wed', '12:00']);
    expect(words(336)).toEqual(['5 Jun', '7 Jun', '9 Jun', '11 Jun', '13 Jun', '15 Jun', '17 Jun']);
  });
  it('finds the hour that is pointed at', () => {
    expect(nearest(spots(1, 2, 3), NOW - 0.8 * HOUR)?.hour.from).toBe(at(1));
    expect(nearest([], NOW)).toBeNull();
  });
});
