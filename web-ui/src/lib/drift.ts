// The part of the interface that is about drift: whether the line still is what it was.

import { read, send } from './api';
import type { components } from './schema';

type Schemas = components['schemas'];

export type DriftMeasure = Schemas['DriftMeasure'];
export type DriftReading = Schemas['DriftReading'];
export type DriftHour = Schemas['DriftHour'];
export type DriftGathered = Schemas['DriftGathered'];

export type Drift = Schemas['DriftCourse'];

export const readDrift = () => read<Drift>('/drift');
/** From now on the line counts as it usually is. */
export const beginDriftAnew = () => send<Drift>('POST', '/drift/usual', {});
