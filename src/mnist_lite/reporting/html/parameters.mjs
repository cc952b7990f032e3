// Accuracy against parameters: the runs of the page, and the published networks.

import { axes, linearScale, logScale, ticks } from './chart.mjs';
import { seriesColour } from './colours.mjs';
import { details, element, scrollable, section, svg, table } from './dom.mjs';
import { compact, percent, thousands } from './format.mjs';

const MAX_LABEL = 24;
const DECADES = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/** The section. The published points are of MNIST, so a page of other data has none. */
export function parametersSection(data) {
  const { compared } = data.verdict;
  const own = compared.map((i) => ({ ...data.runs[i], place: i }));
  const published = own.every((run) => /MNIST's/.test(run.images)) ? data.published : [];
  const lead = published.length
    ? 'Filled points are the runs of this page, after the last epoch. Hollow points are the figures of the authors, of their best epoch or of an epoch that they do not name.'
    : 'The runs of this page, after the last epoch.';
  const others = own.length < data.runs.length ? ` Only runs on ${own[0].images} are here.` : '';
  return section(
    'parameters',
    'Accuracy against parameters',
    `${lead}${others}`,
    scatter(own, published),
    valueTable(own, published),
  );
}

function scatter(runs, published) {
  const box = { left: 56, right: 820, top: 34, bottom: 380 };
  const counts = [...runs, ...published].map((point) => point.parameters);
  const values = [
    ...runs.flatMap((run) => [run.final, run.low ?? run.final, run.high ?? run.final]),
    ...published.map((point) => point.accuracy),
  ];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max(0.1, 0.08 * (high - low));
  const range = [low - margin, Math.min(100, high + margin)];
  const domain = [Math.min(...counts) / 1.5, Math.max(...counts) * 1.5];
  const x = logScale(domain, [box.left, box.right]);
  const y = linearScale(range, [box.bottom, box.top]);
  const xTicks = DECADES.flatMap((decade) => [decade, 3 * decade]).filter((tick) => tick >= domain[0] && tick <= domain[1]);
  const yTicks = ticks(range[0], range[1], 6);
  const labels = placedLabels(
    [
      ...runs.map((run) => ({ x: x(run.parameters), y: y(run.final), text: run.name, own: true })),
      ...published.map((point) => ({ x: x(point.parameters), y: y(point.accuracy), text: point.name, own: false })),
    ],
    box,
  );
  const picture = svg(
    'svg',
    {
      viewBox: '0 0 840 430',
      class: 'chart',
      role: 'img',
      'aria-label': 'Test accuracy against the number of parameters. The values are in the table below.',
    },
    axes(
      box,
      { scale: x, ticks: xTicks, text: compact, label: 'parameters (logarithmic)' },
      { scale: y, ticks: yTicks, text: (tick) => String(tick), label: 'test accuracy, %' },
    ),
    ...published.map((point) => publishedMark(point, x(point.parameters), y(point.accuracy))),
    ...runs.map((run) => runMark(run, x(run.parameters), y)),
    ...labels.map((label) => svg('text', { x: label.left, y: label.base, class: label.own ? 'name own' : 'name' }, label.text)),
  );
  return scrollable('Picture of accuracy against parameters', element('figure', { class: 'wide' }, picture));
}

/**
 * Texts beside their points: to the right, or to the left at the right edge. A text that would cover a point or another text moves up
 * or down inside of the picture. If there is no free place, it is left out: the table has all names.
 */
export function placedLabels(points, box) {
  const taken = points.map((point) => ({ left: point.x - 7, right: point.x + 7, top: point.y - 7, bottom: point.y + 7 }));
  return points.flatMap((point) => {
    const text = point.text.length > MAX_LABEL ? `${point.text.slice(0, MAX_LABEL - 1)}…` : point.text;
    const width = (point.own ? 8 : 7) * text.length;
    const left = point.x + 11 + width > box.right + 20 ? point.x - 11 - width : point.x + 11;
    for (const base of [4, -8, 16, -20, 28, -32, 40].map((shift) => point.y + shift)) {
      const place = { left, right: left + width, top: base - 10, bottom: base + 3 };
      if (place.top < box.top || place.bottom > box.bottom || taken.some((other) => overlap(place, other))) continue;
      taken.push(place);
      return [{ ...point, text, left, base }];
    }
    return [];
  });
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function publishedMark(point, x, y) {
  return svg(
    'g',
    { class: 'published' },
    svg('title', {}, `${point.name}, published: ${percent(point.accuracy)} %, ${thousands(point.parameters)} parameters`),
    svg('rect', { x: x - 4, y: y - 4, width: 8, height: 8, transform: `rotate(45 ${x} ${y})` }),
  );
}

function runMark(run, x, y) {
  const title = svg(
    'title',
    {},
    `${run.name}: ${percent(run.final)} %, ${thousands(run.parameters)} parameters, ${run.seeds.length} seed${run.seeds.length === 1 ? '' : 's'}`,
  );
  const interval = run.low === null ? null : svg('line', { x1: x, x2: x, y1: y(run.low), y2: y(run.high), class: 'interval' });
  const circle = svg('circle', { cx: x, cy: y(run.final), r: 6 });
  const mark = svg('g', { class: 'own' }, title, interval, circle);
  mark.style.color = seriesColour(run.place);
  return mark;
}

function valueTable(runs, published) {
  const columns = [
    { title: 'Network' },
    { title: 'Parameters', number: true },
    { title: 'Test accuracy, %', number: true },
    { title: 'Source' },
  ];
  const rows = [
    ...runs.map((run) => [
      run.name,
      thousands(run.parameters),
      percent(run.final),
      `this page, final, ${run.seeds.length === 1 ? '1 seed' : `mean of ${run.seeds.length} seeds`}`,
    ]),
    ...published.map((point) => [point.name, thousands(point.parameters), percent(point.accuracy), 'published by the authors']),
  ];
  return details('The values as a table', table('Accuracy against parameters', columns, rows));
}
