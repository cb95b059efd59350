// How the picture that the model saw lies in the captured one: the heat map belongs to the former, the page shows the latter.

import type { Pose } from './api';
import type { Box } from './heat';

/** The map from prepared to captured pixels, as a canvas takes it (a, b, c, d, e, f), for a layer of another size than the captured picture. */
export function transformOf(pose: Pose, drawn: { width: number; height: number }, layer: { width: number; height: number }): DOMMatrix2DInit {
  const [m0, m1, m2, m3, m4, m5] = pose.to_captured as [number, number, number, number, number, number];
  const sx = layer.width / pose.captured[0]!;
  const sy = layer.height / pose.captured[1]!;
  const px = pose.size[0]! / drawn.width;
  const py = pose.size[1]! / drawn.height;
  return { a: m0 * px * sx, b: m3 * px * sy, c: m1 * py * sx, d: m4 * py * sy, e: m2 * sx, f: m5 * sy };
}

/** The box around a box of the prepared picture, both in fractions of their picture. */
export function boxInCaptured(box: Box, pose: Pose): Box {
  const m = transformOf(pose, { width: 1, height: 1 }, { width: 1, height: 1 });
  const corners = [
    [box.left, box.top],
    [box.right, box.top],
    [box.left, box.bottom],
    [box.right, box.bottom],
  ].map(([x, y]) => ({ x: m.a! * x! + m.c! * y! + m.e!, y: m.b! * x! + m.d! * y! + m.f! }));
  const xs = corners.map((at) => Math.min(1, Math.max(0, at.x)));
  const ys = corners.map((at) => Math.min(1, Math.max(0, at.y)));
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}
