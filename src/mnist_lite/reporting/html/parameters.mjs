// Accuracy against parameters: the runs of the page, and the published networks.

import { axes, linearScale, logScale, ticks } from './chart.mjs';
import { seriesColour } from './colours.mjs';
import { details, element, section, svg, table } from './dom.mjs';
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

/** The picture, drawn again where the screen becomes narrow or wide: a text that is scaled down cannot be read. */
function scatter(runs, published) {
  const figure = element('figure', {});
  const narrow = matchMedia('(max-width: 36rem)');
  const draw = () => figure.replaceChildren(scatterOf(runs, published, narrow.matches ? 420 : 840));
  narrow.addEventListener('change', draw);
  draw();
  return figure;
}

function scatterOf(runs, published, width) {
  const box = { left: 56, right: width - 20, top: 34, bottom: 380 };
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
  const xTicks = logTicks(domain);
  const yTicks = ticks(range[0], range[1], 6);
  const labels = placedLabels(
    [
      ...[...runs]
        .sort((a, b) => b.final - a.final)
        .map((run) => ({ x: x(run.parameters), y: y(run.final), text: run.name, own: true })),
      ...published.map((point) => ({ x: x(point.parameters), y: y(point.accuracy), text: point.name, own: false })),
    ],
    box,
  );
  const picture = svg(
    'svg',
    {
      viewBox: `0 0 ${width} 430`,
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
  return picture;
}

/** Round numbers on a logarithmic axis. A narrow one has no 1, 3, 10 and so on, and has other round numbers. */
export function logTicks([low, high]) {
  const found = DECADES.flatMap((decade) => [decade, 3 * decade]).filter((tick) => tick >= low && tick <= high);
  return found.length > 1 ? found : ticks(low, high, 4);
}

/**
 * Texts beside their points: right, left, above or below. A text that would cover a point or another text is left out: the table has
 * all names. The first point always has its text: it covers as few points as
 * possible.
 */
export function placedLabels(points, box) {
  const taken = points.map((point) => ({ left: point.x - 7, right: point.x + 7, top: point.y - 7, bottom: point.y + 7 }));
  return points.flatMap((point, i) => {
    const text = point.text.length > MAX_LABEL ? `${point.text.slice(0, MAX_LABEL - 1)}…` : point.text;
    const width = (point.own ? 8 : 7) * text.length;
    const places = placesAround(point, width, box).map(([left, base]) => ({
      left,
      base,
      right: left + width,
      top: base - 10,
      bottom: base + 3,
    }));
    const covered = places.map((place) => taken.filter((other) => overlap(place, other)).length);
    const least = Math.min(...covered);
    if (least > 0 && i > 0) return [];
    const chosen = places[covered.indexOf(least)];
    taken.push(chosen);
    return [{ ...point, text, left: chosen.left, base: chosen.base }];
  });
}

/** The places of a text beside a point that are inside of the picture: [left, base]. */
function placesAround({ x, y }, width, box) {
  const middle = Math.min(box.right + 20 - width, Math.max(box.left, x - width / 2));
  const sides = [x + 11, x - 11 - width].filter((left) => left >= box.left && left + width <= box.right + 20);
  const places = [
    ...[4, -6, 14].flatMap((shift) => sides.map((left) => [left, y + shift])),
    ...[-12, 20].map((shift) => [middle, y + shift]),
  ];
  return places.filter(([, base]) => base - 10 >= box.top && base + 3 <= box.bottom);
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
