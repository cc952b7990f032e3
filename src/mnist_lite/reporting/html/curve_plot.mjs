// What uPlot draws: the axes, the lines and their bands.

import { resolved } from './colours.mjs';
import { compact } from './format.mjs';

/** The axes that curves can be drawn against, and their titles. */
export const AXES = { step: 'training steps', epoch: 'epochs', seconds: 'seconds of training' };
/** A line of at most so many points has a mark at each. A line of one point is only a mark. */
const MAX_MARKS = 12;
/** Distances between ticks of epochs and steps. */
const WHOLE = [1, 10, 100, 1000, 1e4, 1e5].flatMap((power) => [power, 2 * power, 5 * power]);

/**
 * uPlot's options for the lines `visible` of `metric` against the axis `name`. Lines of `several` groups are a little transparent. A
 * line of several runs is three series: its mean, and the edges of its band.
 */
export function plotOptions(visible, metric, name, several) {
  const ink = resolved('var(--muted)');
  const grid = { stroke: resolved('var(--grid)'), width: 1 };
  const axis = {
    stroke: ink,
    grid,
    ticks: { ...grid, size: 4 },
    font: '12px system-ui, sans-serif',
    labelFont: '12px system-ui, sans-serif',
    labelSize: 20,
  };
  const series = [{}];
  const bands = [];
  for (const line of visible) {
    const colour = resolved(line.colour);
    series.push({
      stroke: colour,
      width: line.faint ? 1 : line.width,
      alpha: line.faint ? 0.55 : several ? 0.85 : 1,
      dash: line.dash,
      spanGaps: true,
      points: { show: line.x.length <= MAX_MARKS, size: 7, fill: colour },
    });
    if (!line.several) continue;
    const edge = { stroke: 'transparent', width: 0, spanGaps: true, points: { show: false } };
    series.push(edge, edge);
    bands.push({ series: [series.length - 2, series.length - 1], fill: `${colour}2e` });
  }
  const unit = metric.unit ? `, ${metric.unit}` : '';
  return {
    series,
    bands,
    legend: { show: false },
    cursor: { drag: { x: true, y: true, uni: 30 }, points: { size: 7 }, focus: { prox: -1 } },
    scales: { x: { time: false }, y: metric.log ? { distr: 3 } : {} },
    axes: [
      {
        ...axis,
        label: AXES[name],
        size: 34,
        space: 60,
        incrs: name === 'seconds' ? undefined : WHOLE,
        values: (_, ticks) => ticks.map((tick) => compact(tick)),
      },
      {
        ...axis,
        label: `${metric.title.toLowerCase()}${unit}`,
        size: 58,
        values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : String(Number(tick.toPrecision(6))))),
      },
    ],
  };
}

/** The lines of the first groups are below the others, and wider: so a line that lies under another one can be seen. */
export function lineWidth(group, groups) {
  return groups < 2 ? 2 : 3.5 - (2 * group) / (groups - 1);
}
