// Made-up cameras: one that can be had, one that the line holds. `POST /mock?cameras=none|down` has none, or cannot ask.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Camera, Feature, Picture } from '../src/lib/cameras';
import { json, problem } from './answers.ts';
import { bodyOf } from './body.ts';
import type { MockLine } from './line.ts';
import { pictureOf } from './picture.ts';

const CAMERAS: Camera[] = [
  { id: 'Basler-24711', model: 'acA2440-35gm', serial: '24711', protocol: 'GigE Vision', address: '10.0.0.21', state: 'free', detail: null },
  { id: 'Basler-24712', model: 'acA2440-35gm', serial: '24712', protocol: 'GigE Vision', address: '10.0.0.22', state: 'held_here', detail: null },
];

const feature = (name: string, group: string, kind: Feature['kind'], value: string | null, more: Partial<Feature> = {}): Feature => ({ name, group, kind, access: 'read_write', value, entries: [], range: null, step: null, unit: null, description: null, ...more });
const FEATURES: Feature[] = [
  feature('Width', 'ImageFormatControl', 'integer', '2448', { range: [16, 2448], step: 16, unit: 'px' }),
  feature('PixelFormat', 'ImageFormatControl', 'enumeration', 'Mono8', { entries: ['Mono8', 'Mono12'] }),
  feature('ExposureTime', 'AcquisitionControl', 'float', '1200', { range: [10, 1_000_000], unit: 'us', description: 'How long the sensor is exposed.' }),
  feature('TriggerMode', 'AcquisitionControl', 'enumeration', 'On', { entries: ['Off', 'On'] }),
  feature('AcquisitionFrameRateEnable', 'AcquisitionControl', 'boolean', 'false'),
  feature('Gain', 'AnalogControl', 'float', '0', { range: [0, 24], unit: 'dB' }),
  feature('DeviceTemperature', 'DeviceControl', 'float', '46.5', { access: 'read', unit: '°C' }),
];

export class MockCameras {
  #state = 'two';
  #features = FEATURES.map((one) => ({ ...one }));

  constructor(private readonly line: MockLine) {}

  set(want: URLSearchParams): void {
    this.#state = want.get('cameras') ?? 'two';
  }

  /** Whether the path was one of these. */
  answer(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    if (!path.startsWith('/cameras')) return false;
    if (this.#state === 'down') problem(res, 503, 'the helper that asks cameras did not start: `inspectd-cameras` is not installed');
    else if (path === '/cameras') json(res, { cameras: this.#state === 'none' ? [] : CAMERAS });
    else if (path === '/cameras/picture') json(res, this.#picture());
    else if (req.method === 'PUT') void this.#set(req, res);
    else json(res, { features: this.#features });
    return true;
  }

  async #set(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { values = [] } = (await bodyOf(req)) as { values?: { name: string; value: string }[] };
    for (const { name, value } of values) this.#features = this.#features.map((one) => (one.name === name ? { ...one, value } : one));
    json(res, { values });
  }

  #picture(): Picture {
    const part = this.line.latest(1, null)[0]!;
    const histogram = Array.from({ length: 64 }, (_, at) => Math.round(9_000 * Math.exp(-(((at - 38) / 9) ** 2))));
    return { width: 2448, height: 2048, brightness: 151.2, contrast: 31.4, sharpness: 402 + (part.id % 40), histogram, picture: `data:image/svg+xml;base64,${Buffer.from(pictureOf(part)).toString('base64')}` };
  }
}
