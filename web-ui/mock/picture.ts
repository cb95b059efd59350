// Pictures of made-up parts, as SVG: enough to judge the page by, and no camera needed.

import type { Inspection } from '../src/lib/api';

const SIZE = 512;

/** Deterministic noise in 0..1 from two integers. */
export function noise(a: number, b: number): number {
  let h = (a * 374761393 + b * 668265263) | 0;
  h = Math.imul(h ^ (h >>> 13), 1274126177);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}

const SURFACES = [
  { tone: '#8f9499', frequency: '0.004 0.55', octaves: 2, gain: 0.5 }, // brushed metal
  { tone: '#7b7a76', frequency: '0.35', octaves: 4, gain: 0.7 }, // cast
  { tone: '#5f7d92', frequency: '0.09', octaves: 2, gain: 0.35 }, // paint
  { tone: '#9a8f7c', frequency: '0.18 0.18', octaves: 1, gain: 0.6 }, // woven
];

export function pictureOf(part: Inspection): string {
  const surface = SURFACES[Math.floor(noise(part.id, 1) * SURFACES.length)]!;
  const lightX = 20 + 60 * noise(part.id, 2);
  const lightY = 10 + 60 * noise(part.id, 3);
  const body = part.truth?.bad_frame ? '<rect width="512" height="512" fill="#0b0b0c"/>' : '';
  const defects = (part.truth?.defects ?? []).map((d) => draw(d.label, d.bbox, part.id)).join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}" viewBox="0 0 ${SIZE} ${SIZE}">
<defs>
<filter id="g" x="0" y="0" width="100%" height="100%"><feTurbulence type="fractalNoise" baseFrequency="${surface.frequency}" numOctaves="${surface.octaves}" seed="${part.id % 97}"/>
<feColorMatrix values="${grey(surface.gain)}"/></filter>
<radialGradient id="l" cx="${lightX}%" cy="${lightY}%" r="85%"><stop offset="0" stop-color="#fff" stop-opacity=".38"/><stop offset=".5" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-color="#000" stop-opacity=".45"/></radialGradient>
<filter id="b"><feGaussianBlur stdDeviation="7"/></filter><filter id="s"><feGaussianBlur stdDeviation="1"/></filter>
</defs>
<rect width="512" height="512" fill="${surface.tone}"/><rect width="512" height="512" filter="url(#g)" opacity=".55"/>
${defects}<rect width="512" height="512" fill="url(#l)"/>${body}</svg>`;
}

function grey(gain: number): string {
  const row = `${gain} ${gain} ${gain} 0 ${0.5 - gain * 1.5 * 0.5}`;
  return `${row} ${row} ${row} 0 0 0 0 1`;
}

function draw(label: string, [left = 0, top = 0, width = 0, height = 0]: number[], id: number): string {
  const cx = left + width / 2;
  const cy = top + height / 2;
  const at = (k: number) => noise(id, 50 + k);
  switch (label) {
    case 'scratch':
      return `<path d="M${left} ${top + height}Q${cx} ${cy + 12} ${left + width} ${top}" stroke="#f2f2ee" stroke-width="2.4" fill="none" opacity=".85" filter="url(#s)"/>`;
    case 'crack': {
      const points = Array.from({ length: 9 }, (_, k) => `${left + (width * k) / 8},${top + height * (k / 8) + (at(k) - 0.5) * 26}`);
      return `<polyline points="${points.join(' ')}" stroke="#15130f" stroke-width="3" fill="none" opacity=".8" filter="url(#s)"/>`;
    }
    case 'stain':
    case 'discolouration':
      return `<ellipse cx="${cx}" cy="${cy}" rx="${width / 2}" ry="${height / 2}" fill="#4a3416" opacity=".5" filter="url(#b)"/>`;
    case 'dent':
      return `<ellipse cx="${cx - 4}" cy="${cy - 4}" rx="${width / 2}" ry="${height / 2}" fill="#000" opacity=".35" filter="url(#b)"/><ellipse cx="${cx + 8}" cy="${cy + 8}" rx="${width / 2.6}" ry="${height / 2.6}" fill="#fff" opacity=".45" filter="url(#b)"/>`;
    default:
      return Array.from({ length: 5 }, (_, k) => `<circle cx="${left + width * at(k)}" cy="${top + height * at(k + 9)}" r="${4 + 7 * at(k + 20)}" fill="#16140f" opacity=".75" filter="url(#s)"/>`).join('');
  }
}
