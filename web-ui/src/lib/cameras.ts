// Cameras that answer, and what is asked of them (`/api/v1/cameras`). Each answer takes a second or more: a program of its own asks.

import { read, send } from './api';
import type { components } from './schema';

type Schemas = components['schemas'];

export type Camera = Schemas['Camera'];
export type Feature = Schemas['CameraFeature'];
export type Picture = Schemas['CameraPicture'];

/** A camera that hangs is given up by the daemon after 20 s. */
const PATIENCE_MS = 25_000;

const which = (camera: string) => `?${new URLSearchParams({ camera })}`;

export const findCameras = async () => (await read<Schemas['Cameras']>('/cameras', PATIENCE_MS)).cameras;
export const readFeatures = async (camera: string) => (await read<Schemas['CameraFeatures']>(`/cameras/features${which(camera)}`, PATIENCE_MS)).features;
export const takePicture = (camera: string) => send<Picture>('POST', `/cameras/picture${which(camera)}`, {}, {}, PATIENCE_MS);
export const setFeature = async (camera: string, name: string, value: string) =>
  (await send<Schemas['CameraValues']>('PUT', `/cameras/features${which(camera)}`, { values: [{ name, value }] }, {}, PATIENCE_MS)).values[0]?.value ?? null;

/** What a feature can be changed to by a person: commands and what the camera only tells are none. */
export const canBeSet = ({ access, kind }: Feature) => (access === 'read_write' && kind !== 'other') || (access === 'write' && kind === 'command');

/** Features whose name, group or description has every word of a search. */
export function matching(features: readonly Feature[], search: string): Feature[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = ({ name, group, description }: Feature) => `${name} ${group} ${description ?? ''}`.toLowerCase();
  return features.filter((feature) => words.every((word) => text(feature).includes(word)));
}

/** Groups in the order in which the camera lists them. */
export function grouped(features: readonly Feature[]): [string, Feature[]][] {
  const groups = new Map<string, Feature[]>();
  for (const feature of features) groups.set(feature.group, [...(groups.get(feature.group) ?? []), feature]);
  return [...groups];
}

/** Shares of the pixels that are black or white to the end: more than one in a hundred says that the exposure is wrong. */
export function clipped({ histogram }: Pick<Picture, 'histogram'>): { dark: number; bright: number } {
  const all = histogram.reduce((sum, n) => sum + n, 0) || 1;
  return { dark: (histogram[0] ?? 0) / all, bright: (histogram[histogram.length - 1] ?? 0) / all };
}
