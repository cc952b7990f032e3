// The table of runs, sorted by a click on the head of a column. And where their configs differ.

import { seriesColour } from './colours.mjs';
import { details, element, howTo, scrollable, section, table } from './dom.mjs';
import { counted, duration, percent, signed, thousands } from './format.mjs';

const MAX_CELL = 60;

/** Columns: title, the value to sort by, and the text. */
export const COLUMNS = [
  { title: 'Name', value: (run) => run.name, text: (run) => run.name },
  { title: 'Test images', value: (run) => run.images, text: (run) => run.images, mixed: true },
  { title: 'Parameters', value: (run) => run.parameters, text: (run) => thousands(run.parameters) },
  { title: 'Multiply-adds', value: (run) => run.multiply_adds, text: (run) => thousands(run.multiply_adds) },
  { title: 'Epochs', value: (run) => run.epochs, text: (run) => String(Number(run.epochs.toFixed(1))) },
  { title: 'Time', value: (run) => run.seconds, text: (run) => duration(run.seconds) },
  { title: 'Final test accuracy, %', value: (run) => run.final, text: (run) => percent(run.final) },
  {
    title: '95 % interval',
    value: (run) => run.low,
    text: (run) => (run.low === null ? '' : `${percent(run.low)} to ${percent(run.high)}`),
  },
  { title: 'Best epoch', value: (run) => run.best, text: (run) => percent(run.best) },
  { title: 'Mean of last 5', value: (run) => run.mean_last_5, text: (run) => percent(run.mean_last_5) },
  { title: 'Train (with dropout and augmentation) minus test', value: (run) => run.gap, text: (run) => signed(run.gap) },
  { title: 'Seeds', value: (run) => run.seeds.length, text: (run) => String(run.seeds.length) },
  { title: 'Budget', value: (run) => (run.budget ? run.budget.met / run.seeds.length : null), text: (run) => budgetText(run) },
];

/** The runs in the order of a column. Runs without a value come last in both directions. */
export function sortedRuns(runs, column, descending) {
  const sign = descending ? -1 : 1;
  return [...runs].sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === 'string' ? x.localeCompare(y, 'en', { numeric: true }) : x - y);
  });
}

function budgetText(run) {
  if (!run.budget) return '';
  const { met, judged } = run.budget;
  if (run.seeds.length === 1) return met ? 'met' : judged ? 'missed' : 'not judged';
  return `${met} of ${run.seeds.length} met`;
}

export function runsSection(data) {
  const images = [...new Set(data.runs.map((run) => run.images))].join(' and ');
  const row = data.runs.some((run) => run.seeds.length > 1) ? 'the mean of runs that differ in their seed only' : 'a run';
  const lead = [`Each row is ${row}. Test accuracy in % on ${images}.`, howTo('Click a column title to sort the table.')];
  return section('runs', 'Runs', lead, sortableTable(data), differences(data));
}

function sortableTable(data) {
  const differ = (column) => new Set(data.runs.map((run) => column.value(run))).size > 1;
  const columns = COLUMNS.filter((column) =>
    column.mixed ? differ(column) : data.runs.some((run) => column.value(run) !== null),
  );
  const places = new Map(data.runs.map((run, i) => [run, i]));
  const body = element('tbody', {});
  const heads = columns.map((column, i) => {
    const button = element(
      'button',
      { type: 'button', class: 'sort', onclick: () => sort(i) },
      column.title,
      element('span', { class: 'arrow', 'aria-hidden': 'true' }),
    );
    return element('th', { scope: 'col', class: i ? 'number' : null }, button);
  });
  let current = -1;
  let descending = false;
  const fill = (runs) => body.replaceChildren(...runs.map((run) => row(run, places.get(run), columns)));
  const sort = (i) => {
    descending = i === current ? !descending : i > 0; // the largest number first, and A first
    current = i;
    heads.forEach((head, j) =>
      j === i ? head.setAttribute('aria-sort', descending ? 'descending' : 'ascending') : head.removeAttribute('aria-sort'),
    );
    fill(sortedRuns(data.runs, columns[i], descending));
  };
  fill(data.runs);
  const caption = element('caption', { class: 'hidden' }, 'Runs');
  return scrollable(
    'Runs',
    element('table', { class: 'runs' }, caption, element('thead', {}, element('tr', {}, ...heads)), body),
  );
}

function row(run, place, columns) {
  const dot = element('span', { class: 'dot', 'aria-hidden': 'true' });
  dot.style.backgroundColor = seriesColour(place);
  const cells = columns.slice(1).map((column) => element('td', { class: 'number' }, column.text(run)));
  return element('tr', {}, element('th', { scope: 'row' }, dot, `${run.letter} · ${run.name}`), ...cells);
}

/** A long value opens with a click. */
function folded(text) {
  return text.length <= MAX_CELL ? text : details(`${text.slice(0, MAX_CELL / 2)}…`, text);
}

function differences(data) {
  if (data.runs.length < 2) return null;
  const title = element('h3', {}, 'Where the configs differ');
  if (!data.differences.length) return [title, element('p', {}, 'The configs do not differ.')];
  const columns = ['Key', ...data.runs.map((run) => run.letter)].map((text) => ({ title: text }));
  const rows = data.differences.map(([key, cells]) => [element('code', {}, key), ...cells.map(folded)]);
  const names = data.runs.map((run) => `${run.letter} is ${run.name}`).join(', ');
  return [
    title,
    element('p', { class: 'hint' }, `${counted(rows.length, 'key')}. ${names}.`),
    table('Where the configs differ', columns, rows, { class: 'differences' }),
  ];
}
