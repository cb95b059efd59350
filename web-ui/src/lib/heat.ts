// A heat map of a few hundred cells, made into a smooth layer over the picture.

import type { Heat } from './api';

export interface HeatGrid {
  label: string;
  width: number;
  height: number;
  /** Probability at each cell, 0 to 255, row-major. */
  cells: Uint8Array;
}

/** Fractions of the picture's width and height. */
export interface Peak {
  x: number;
  y: number;
  /** 0 to 1. */
  value: number;
}

/** The cells, or null when what came is not a heat map: a broken overlay must not stop the page. */
export function decodeHeat(heat: Heat): HeatGrid | null {
  let bytes: string;
  try {
    bytes = atob(heat.cells);
  } catch {
    return null;
  }
  if (bytes.length === 0 || bytes.length !== heat.width * heat.height) return null;
  return { label: heat.label, width: heat.width, height: heat.height, cells: Uint8Array.from(bytes, (c) => c.charCodeAt(0)) };
}

/** The hottest cell's centre, or null on a map that is cold everywhere. Equal cells: the first in reading order. */
export function peakOf(grid: HeatGrid): Peak | null {
  let best = 0;
  for (let i = 1; i < grid.cells.length; i++) if (grid.cells[i]! > grid.cells[best]!) best = i;
  const value = (grid.cells[best] ?? 0) / 255;
  if (value === 0) return null;
  return { x: ((best % grid.width) + 0.5) / grid.width, y: (Math.floor(best / grid.width) + 0.5) / grid.height, value };
}

/**
 * Smooth enlargement to `width` x `height` values, 0 to 1, by uniform cubic B-spline: no lozenges as with bilinear, no
 * ringing below zero as with Catmull-Rom. Its peaks are a little lower than the cells', which only this layer sees: numbers
 * on the page come from the cells.
 */
export function enlarge(grid: HeatGrid, width: number, height: number): Float32Array {
  const across = taps(grid.width, width);
  const down = taps(grid.height, height);
  const rows = new Float32Array(grid.height * width);
  for (let y = 0; y < grid.height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += across.weight[x * 4 + k]! * grid.cells[y * grid.width + across.index[x * 4 + k]!]!;
      rows[y * width + x] = sum / 255;
    }
  }
  const out = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += down.weight[y * 4 + k]! * rows[down.index[y * 4 + k]! * width + x]!;
      out[y * width + x] = sum;
    }
  }
  return out;
}

/** For each of `to` samples the four cells it draws on (edges repeat) and their B-spline weights, which sum to 1. */
function taps(from: number, to: number): { index: Int32Array; weight: Float32Array } {
  const index = new Int32Array(to * 4);
  const weight = new Float32Array(to * 4);
  for (let i = 0; i < to; i++) {
    const at = ((i + 0.5) * from) / to - 0.5;
    const base = Math.floor(at);
    const t = at - base;
    const w = [(1 - t) ** 3 / 6, (3 * t ** 3 - 6 * t ** 2 + 4) / 6, (-3 * t ** 3 + 3 * t ** 2 + 3 * t + 1) / 6, t ** 3 / 6];
    for (let k = 0; k < 4; k++) {
      index[i * 4 + k] = Math.min(from - 1, Math.max(0, base - 1 + k));
      weight[i * 4 + k] = w[k]!;
    }
  }
  return { index, weight };
}

/** Below this the layer is clear glass: a cold map must not tint the part. */
const CLEAR_BELOW = 0.12;
/** The contour runs at half of the map's own maximum, and only around something that is worth an outline. */
const CONTOUR_SHARE = 0.5;
const CONTOUR_FROM = 0.2;

/** The level that the contour follows, or null where nothing is hot enough to be outlined. */
function contourOf(values: Float32Array): number | null {
  const top = values.reduce((a, b) => Math.max(a, b), 0);
  return top >= CONTOUR_FROM ? top * CONTOUR_SHARE : null;
}

/** Fractions of the picture's width and height. */
export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** The box around the contour that holds the hottest point, or null without one: a label stands beside it, not on the defect. */
export function hotBox(values: Float32Array, width: number, height: number): Box | null {
  const level = contourOf(values);
  if (level === null) return null;
  let start = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[start]!) start = i;
  const seen = new Uint8Array(values.length);
  const open = [start];
  seen[start] = 1;
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let i = open.pop(); i !== undefined; i = open.pop()) {
    const x = i % width;
    const y = (i - x) / width;
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x + 1);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
    for (const j of [x > 0 ? i - 1 : -1, x + 1 < width ? i + 1 : -1, i - width, i + width]) {
      if (j < 0 || j >= values.length || seen[j] || values[j]! < level) continue;
      seen[j] = 1;
      open.push(j);
    }
  }
  return { left: box.left / width, top: box.top / height, right: box.right / width, bottom: box.bottom / height };
}

// Violet to orange to pale yellow: lightness rises all the way, so the order survives every kind of colour blindness and grey print.
const RAMP = [
  [74, 18, 108],
  [158, 42, 99],
  [221, 81, 58],
  [252, 152, 32],
  [252, 242, 161],
] as const;

/** Colours `values` (0 to 1) as RGBA, see-through where cold, with a contour line around what is hot. */
export function paint(values: Float32Array, width: number, height: number): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(width * height * 4);
  const contour = contourOf(values);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const v = values[i]!;
      const line = contour === null ? 0 : lineAt(values, width, height, x, y, contour);
      if (v <= CLEAR_BELOW && line === 0) continue;
      const heat = Math.max(0, v - CLEAR_BELOW) / (1 - CLEAR_BELOW);
      const at = Math.min(heat, 0.9999) * (RAMP.length - 1);
      const low = RAMP[Math.floor(at)]!;
      const high = RAMP[Math.floor(at) + 1]!;
      const t = at - Math.floor(at);
      for (let c = 0; c < 3; c++) {
        const glow = low[c]! + (high[c]! - low[c]!) * t;
        out[i * 4 + c] = glow + (255 - glow) * line;
      }
      const veil = 150 * Math.min(1, heat * 1.6);
      out[i * 4 + 3] = veil + (240 - veil) * line;
    }
  }
  return out;
}

/** How much of pixel (x, y) the contour covers, 0 to 1: its distance to the level, in pixels, from the local slope. */
function lineAt(values: Float32Array, width: number, height: number, x: number, y: number, level: number): number {
  const i = y * width + x;
  const slope = Math.hypot(
    values[x + 1 < width ? i + 1 : i]! - values[x > 0 ? i - 1 : i]!,
    values[y + 1 < height ? i + width : i]! - values[y > 0 ? i - width : i]!,
  );
  if (slope === 0) return 0;
  return Math.min(1, Math.max(0, LINE_HALF_WIDTH_PX + 0.5 - Math.abs(values[i]! - level) / (slope / 2)));
}

const LINE_HALF_WIDTH_PX = 0.9;
