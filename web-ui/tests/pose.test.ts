import { describe, expect, it } from 'vitest';
import { boxInCaptured, transformOf } from '../src/lib/pose';

// A quarter turn: the prepared picture's x runs down the captured one from (300, 100).
const pose = { to_captured: [0, -1, 300, 1, 0, 100], size: [200, 80], captured: [400, 400] };

describe('pose', () => {
  it('lays a layer of any size', () => {
    const m = transformOf(pose, { width: 100, height: 40 }, { width: 200, height: 200 });
    // (50, 20) of the drawn map is (100, 40) of the prepared picture, (260, 200) of the captured one, (130, 100) of the layer.
    expect([m.a! * 50 + m.c! * 20 + m.e!, m.b! * 50 + m.d! * 20 + m.f!]).toEqual([130, 100]);
  });

  it('keeps a box around what it turns, within the picture', () => {
    const box = boxInCaptured({ left: 0, top: 0, right: 0.5, bottom: 1 }, pose);
    expect(box.left).toBeCloseTo(220 / 400);
    expect(box.right).toBeCloseTo(300 / 400);
    expect(box.top).toBeCloseTo(100 / 400);
    expect(box.bottom).toBeCloseTo(200 / 400);
    const beyond = boxInCaptured({ left: -9, top: 0, right: 9, bottom: 1 }, pose);
    expect(beyond.top).toBe(0);
    expect(beyond.bottom).toBe(1);
  });
});
