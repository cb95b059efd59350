// The part of the interface that is about drift: whether the line still is what it was.

import { read, send } from './api';
import type { components } from './schema';

type Schemas = components['schemas'];

export type DriftMeasure = Schemas['DriftMeasure'];
export type DriftReading = Schemas['DriftReading'];
export type DriftHour = Schemas['DriftHour'];
export type DriftGathered = Schemas['DriftGathered'];

/** Spelled out, because in the document an alert rule bears the name of the whole. */
export interface Drift {
  /** Empty before the first part. */
  product: string;
  model: string;
  knows_its_training: boolean;
  usual: Schemas['DriftUsual'];
  /** What can be said of the present hour. */
  now: DriftReading[];
  /** Oldest first, at most two weeks. */
  hours: DriftHour[];
}

export const readDrift = () => read<Drift>('/drift');
/** From now on the line counts as it usually is. */
export const beginDriftAnew = () => send<Drift>('POST', '/drift/usual', {});
