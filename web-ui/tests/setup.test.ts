// What the set-up and the checks of a line reckon on the page: rectangles, focus, shares, plans.

import { describe, expect, it } from 'vitest';
import { kappaWords, planParts, shareWords } from '../src/lib/checks';
import { exposureAdvice, lookAt } from '../src/lib/focus';
import { bytesWords, daysWords } from '../src/lib/health';
import { routeOf } from '../src/lib/route';
import { freshName, rateWords, rectOf } from '../src/lib/setup';

/** A picture of one grey level for each pixel. */
function picture(width: number, height: number, grey: (x: number, y: number) => number) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let at = 0; at < width * height; at += 1) {
    data.fill(grey(at % width, Math.floor(at / width)), 4 * at, 4 * at + 3);
    data[4 * at + 3] = 255;
  }
  return lookAt(data, width, height);
}

describe('a rectangle that is drawn', () => {
  it('has whole pixels within the picture, whichever corner came first', () => {
    expect(rectOf([90.4, 70.6], [10.2, -5], 100, 80)).toEqual({ x: 10, y: 0, width: 80, height: 71 });
    expect(rectOf([50, 50], [999, 999], 100, 80)).toEqual({ x: 50, y: 50, width: 50, height: 30 });
  });
  it('is none where somebody only clicked', () => {
    expect(rectOf([10, 10], [12, 40], 100, 80)).toBeNull();
  });
  it('gets a name of its own', () => {
    expect(freshName(['region 1', 'region 3'])).toBe('region 2');
  });
});

describe('a picture', () => {
  it('is sharper with edges than without', () => {
    const flat = picture(32, 32, () => 120);
    const soft = picture(32, 32, (x) => 100 + x);
    const sharp = picture(32, 32, (x) => (x % 4 < 2 ? 60 : 180));
    expect(flat.sharpness).toBe(0);
    expect(soft.sharpness).toBeLessThan(1);
    expect(sharp.sharpness).toBeGreaterThan(100);
  });
  it('counts every pixel once, and what is lost', () => {
    const half = picture(20, 10, (x) => (x < 10 ? 0 : 255));
    expect(half.histogram.reduce((sum, n) => sum + n)).toBe(200);
    expect([half.black, half.white]).toEqual([0.5, 0.5]);
    expect(half.brightness).toBeCloseTo(127.5);
    expect(exposureAdvice(half)).toBe('setup.too-bright');
    expect(exposureAdvice(picture(8, 8, () => 20))).toBe('setup.dark');
    expect(exposureAdvice(picture(8, 8, () => 120))).toBeNull();
  });
  it('may be tiny', () => {
    expect(picture(1, 1, () => 7).sharpness).toBe(0);
  });
});

describe('words', () => {
  it('say a share with its interval, and nothing of nothing', () => {
    expect(shareWords({ seen: 42, of: 50, share: 0.84, ci: [0.709, 0.928] })).toBe('84.0% (70.9 to 92.8)');
    expect(shareWords({ seen: 0, of: 0, share: null, ci: null })).toBe('–');
    expect(rateWords(1, 300, [0.0001, 0.018])).toBe('0.3% (0.0 to 1.8)');
    expect(rateWords(0, 0, null)).toBe('Unknown');
    expect(kappaWords({ value: 0.863, ci: [0.77, 0.95] })).toBe('0.86 (0.77 to 0.95)');
    expect(kappaWords(null)).toBe('–');
  });
  it('say how full a disk is', () => {
    expect([bytesWords(999), bytesWords(12_340_000_000), bytesWords(null)]).toEqual(['999 B', '12.3 GB', '–']);
    expect(daysWords(0.4)).toEqual({ text: 'full within a day', odd: true });
    expect(daysWords(30).odd).toBe(false);
    expect(daysWords(null).odd).toBe(false);
  });
});

describe('a plan', () => {
  it('is read as people write it', () => {
    const { parts, problem } = planParts('P-01, good\n\n P 02;BAD\nP-03\tgood');
    expect(problem).toBeNull();
    expect(parts).toEqual([
      { name: 'P-01', master: 'good' },
      { name: 'P 02', master: 'bad' },
      { name: 'P-03', master: 'good' },
    ]);
  });
  it('names the line that it cannot read', () => {
    expect(planParts('a, good\nb, fine').problem).toContain('Line 2');
  });
});

describe('addresses', () => {
  it('name the pages', () => {
    expect(routeOf('#golden')).toEqual({ page: 'golden', at: null });
    expect(routeOf('#gauge/7')).toEqual({ page: 'gauge', at: '7' });
    expect(routeOf('#setup')).toEqual({ page: 'setup', at: null });
    expect(routeOf('#setup/regions')).toEqual({ page: 'setup', at: 'regions' });
    expect(routeOf('#setup/nonsense')).toEqual({ page: 'live', at: null });
    expect(routeOf('#health')).toEqual({ page: 'health', at: null });
  });
});
