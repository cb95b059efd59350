import { describe, expect, it } from 'vitest';
import { decodeHeat, enlarge, hotBox, paint, peakOf } from '../src/lib/heat';
import { heat } from './parts';

const grid = (width: number, height: number, hot: Record<number, number>) => decodeHeat(heat(width, height, hot))!;

describe('decodeHeat', () => {
  it('refuses what is not a map, rather than drawing nonsense', () => {
    expect(decodeHeat({ label: 'x', width: 2, height: 2, cells: 'AAA=' })).toBeNull();
    expect(decodeHeat({ label: 'x', width: 1, height: 1, cells: '%%' })).toBeNull();
    expect(decodeHeat({ label: 'x', width: 0, height: 0, cells: '' })).toBeNull();
  });
});

describe('peakOf', () => {
  it('is the centre of the hottest cell, rows first', () => {
    expect(peakOf(grid(4, 2, { 6: 255, 1: 254 }))).toEqual({ x: 0.625, y: 0.75, value: 1 });
  });
  it('is null on a cold map', () => {
    expect(peakOf(grid(4, 4, {}))).toBeNull();
  });
});

describe('enlarge', () => {
  it('keeps a flat map flat, edges included', () => {
    const flat = grid(3, 3, Object.fromEntries(Array.from({ length: 9 }, (_, i) => [i, 128])));
    for (const v of enlarge(flat, 50, 40)) expect(v).toBeCloseTo(128 / 255, 5);
  });
  it('keeps the peak where it was and never leaves 0..1', () => {
    const out = enlarge(grid(8, 8, { 19: 255 }), 80, 80); // cell (3, 2): centre at pixel (35, 25)
    const top = out.indexOf(Math.max(...out));
    expect(Math.abs((top % 80) - 34.5)).toBeLessThanOrEqual(1);
    expect(Math.abs(Math.floor(top / 80) - 24.5)).toBeLessThanOrEqual(1);
    expect(Math.min(...out)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...out)).toBeLessThanOrEqual(1);
  });
});

describe('hotBox', () => {
  it('surrounds the hottest spot and leaves a separate weaker one out', () => {
    const box = hotBox(enlarge(grid(16, 16, { [5 * 16 + 4]: 255, [13 * 16 + 13]: 200 }), 160, 160), 160, 160)!;
    expect(box.left).toBeLessThan(4.5 / 16);
    expect(box.right).toBeGreaterThan(4.5 / 16);
    expect(box.right).toBeLessThan(8 / 16);
    expect(box.bottom).toBeLessThan(9 / 16);
  });
  it('is null where nothing is hot enough to outline', () => {
    expect(hotBox(enlarge(grid(16, 16, { 40: 60 }), 64, 64), 64, 64)).toBeNull();
  });
});

describe('paint', () => {
  const alphaAt = (pixels: Uint8ClampedArray, i: number) => pixels[i * 4 + 3]!;
  it('leaves a cold map clear', () => {
    expect(paint(new Float32Array(100).fill(0.1), 10, 10).every((v) => v === 0)).toBe(true);
  });
  it('is the more opaque the hotter, and draws a white contour at half the peak', () => {
    const width = 101;
    const ramp = Float32Array.from({ length: width * 3 }, (_, i) => (i % width) / 100);
    const pixels = paint(ramp, width, 3);
    const row = width; // the middle row: no edge effects
    expect(alphaAt(pixels, row + 20)).toBeLessThan(alphaAt(pixels, row + 40));
    expect([...pixels.slice((row + 50) * 4, (row + 50) * 4 + 3)]).toEqual([255, 255, 255]);
    expect(alphaAt(pixels, row + 50)).toBe(240);
  });
});
