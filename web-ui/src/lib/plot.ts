// What every chart has in common: letters and colours of the page, as they are now.

import type uPlot from 'uplot';

export interface PlotStyle {
  /** Pixels of one rem. */
  em: number;
  /** Letters of the axes. */
  font: string;
  /** A colour by its name, such as `--data`. */
  css: (name: string) => string;
  axis: uPlot.Axis;
}

/** All but its size, which is that of its place. */
export type PlotOptions = Omit<uPlot.Options, 'width' | 'height'>;

export function plotStyle(): PlotStyle {
  const style = getComputedStyle(document.documentElement);
  const css = (name: string) => style.getPropertyValue(name).trim();
  const em = parseFloat(style.fontSize);
  const font = `${(0.8 * em).toFixed(1)}px ${css('--font')}`;
  return { em, font, css, axis: { font, stroke: css('--muted'), ticks: { show: false } } };
}
