// What pictures in SVG share: scales and axes.

import { svg } from './dom.mjs';

/** A function from `domain` to `range`, linear. */
export function linearScale([a, b], [from, to]) {
  return (value) => from + ((value - a) / (b - a)) * (to - from);
}

/** The same for logarithms. */
export function logScale(domain, range) {
  const scale = linearScale(domain.map(Math.log10), range);
  return (value) => scale(Math.log10(value));
}

/** Round numbers from `low` to `high`, about `count` of them. */
export function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** The lines and the texts of two axes. `x` and `y`: {scale, ticks, text, label}. */
export function axes(box, x, y) {
  const lines = [
    ...x.ticks.map((tick) => svg('line', { x1: x.scale(tick), x2: x.scale(tick), y1: box.top, y2: box.bottom, class: 'grid' })),
    ...y.ticks.map((tick) => svg('line', { x1: box.left, x2: box.right, y1: y.scale(tick), y2: y.scale(tick), class: 'grid' })),
  ];
  const texts = [
    ...x.ticks.map((tick) => svg('text', { x: x.scale(tick), y: box.bottom + 18, 'text-anchor': 'middle' }, x.text(tick))),
    ...y.ticks.map((tick) => svg('text', { x: box.left - 8, y: y.scale(tick) + 4, 'text-anchor': 'end' }, y.text(tick))),
    svg('text', { x: (box.left + box.right) / 2, y: box.bottom + 38, 'text-anchor': 'middle', class: 'label' }, x.label),
    svg('text', { x: box.left, y: box.top - 12, class: 'label', 'text-anchor': 'start' }, y.label),
  ];
  return svg('g', { class: 'axes' }, ...lines, ...texts);
}
