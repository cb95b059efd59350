// How a picture was taken, seen from its pixels: how sharp, how bright, which grey levels.

import type { PlainKey } from './say';

export interface Look {
  /** Pixels of each of 64 grey levels, the darkest first. */
  histogram: number[];
  /** Mean grey level, 0 to 255. */
  brightness: number;
  /** Share of pixels that are black or white: what is lost to under- and overexposure. */
  black: number;
  white: number;
  /** Variance of the Laplacian: grows with focus, and compares only pictures of the same scene. */
  sharpness: number;
}

export const BINS = 64;

/** RGBA bytes, row by row. */
export function lookAt(data: Uint8ClampedArray, width: number, height: number): Look {
  const grey = new Float32Array(width * height);
  const histogram = new Array<number>(BINS).fill(0);
  let [sum, black, white] = [0, 0, 0];
  for (let i = 0; i < grey.length; i += 1) {
    const value = 0.299 * data[4 * i]! + 0.587 * data[4 * i + 1]! + 0.114 * data[4 * i + 2]!;
    grey[i] = value;
    sum += value;
    if (value <= 1) black += 1;
    if (value >= 254) white += 1;
    histogram[Math.min(BINS - 1, Math.floor((value * BINS) / 256))]! += 1;
  }
  let [n, mean, squares] = [0, 0, 0];
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const at = y * width + x;
      const value = grey[at - 1]! + grey[at + 1]! + grey[at - width]! + grey[at + width]! - 4 * grey[at]!;
      n += 1;
      const step = value - mean;
      mean += step / n;
      squares += step * (value - mean);
    }
  }
  const all = Math.max(1, grey.length);
  return { histogram, brightness: sum / all, black: black / all, white: white / all, sharpness: n ? squares / n : 0 };
}

/** What a person should do about the exposure: the key of the words; null: nothing. */
export function exposureAdvice(look: Look): PlainKey | null {
  if (look.white > 0.02) return 'setup.too-bright';
  if (look.black > 0.5) return 'setup.mostly-black';
  if (look.brightness < 35) return 'setup.dark';
  if (look.brightness > 220) return 'setup.very-bright';
  return null;
}
