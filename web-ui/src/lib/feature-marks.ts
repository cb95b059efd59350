// The marks of the map's kinds, each drawn once and then stamped: drawing ten thousand outlines anew would not be smooth.

import type { Kind, MarkShape } from './features';

export function spritesOf(kinds: readonly Kind[], side: number, colourOf: (colour: string) => string): HTMLCanvasElement[] {
  return kinds.map(({ shape, colour }) => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = Math.ceil(side);
    const context = canvas.getContext('2d');
    if (context) stamp(context, shape, colourOf(colour).trim(), side);
    return canvas;
  });
}

/** The same outline as the path of an SVG of 16 x 16, for the legend. */
export const OUTLINE: Record<MarkShape, string> = {
  dot: 'M8 3a5 5 0 1 0 0 10A5 5 0 1 0 8 3z',
  ring: 'M8 3.500a4.500 4.500 0 1 0 0 9a4.500 4.500 0 1 0 0-9z',
  square: 'M3.500 3.500h9v9h-9z',
  triangle: 'M8 2l6.500 11.500h-13z',
  diamond: 'M8 1.500L14.500 8 8 14.500 1.500 8z',
  cross: 'M3 5.500L5.500 3 8 5.500 10.500 3 13 5.500 10.500 8l2.500 2.500-2.500 2.500L8 10.500 5.500 13 3 10.500 5.500 8z',
};

function stamp(context: CanvasRenderingContext2D, shape: MarkShape, colour: string, side: number): void {
  context.scale(side / 16, side / 16);
  const path = new Path2D(OUTLINE[shape]);
  if (shape === 'ring') {
    context.lineWidth = 2.4;
    context.strokeStyle = colour;
    context.stroke(path);
    return;
  }
  context.fillStyle = colour;
  context.fill(path);
}
