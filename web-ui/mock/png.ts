// A picture that was kept whole, as the camera gave it: drawn regions and masks lie on one of these.

import { crc32, deflateSync } from 'node:zlib';
import { noise } from './picture.ts';

const [WIDTH, HEIGHT] = [640, 512];

function chunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** A grey disc, a lid on it, and the grain of a sensor. */
export function evidenceOf(id: number): Buffer {
  const rows = Buffer.alloc(HEIGHT * (1 + WIDTH));
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const [far, lid] = [Math.hypot(x - 300, y - 250), Math.hypot(x - 260, y - 220)];
      const tone = (far < 210 ? 150 - far / 5 : 58) + (lid < 74 ? 46 : 0);
      rows[y * (1 + WIDTH) + 1 + x] = tone + 12 * (noise(x + 31 * id, y) - 0.5);
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(WIDTH, 0);
  head.writeUInt32BE(HEIGHT, 4);
  head[8] = 8;
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}
