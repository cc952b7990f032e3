// The curves of the training: uPlot draws them.

/* global uPlot */
import { seriesColour, seriesDash } from './colours.mjs';
import { groupLine, METRICS, nearest, recordedMetrics } from './curve_data.mjs';
import { AXES, lineWidth, plotOptions } from './curve_plot.mjs';
import { details, element, howTo, radios, section, table } from './dom.mjs';
import { compact, counted } from './format.mjs';

const NOT_TEST = { holdout: [2, 4], train: [6, 5], 'training steps': [] };
const MAX_ROWS = 100;

/** The section, and a function that draws it again. Null: no run has curves. */
export function curvesSection(data) {
  if (!data.curves.length) return null;
  const panel = new CurvePanel(data);
  const seeds = Math.max(...data.runs.map((run) => run.seeds.length));
  const band = seeds > 1 ? 'A line is the mean over seeds, and its band goes from the lowest to the highest seed.' : '';
  const zoom = 'Drag over the picture to zoom, and double-click to see all again. Click a name to hide its line.';
  const lead = [band, howTo(zoom)];
  return { node: section('curves', 'Curves', lead, panel.root), redraw: () => panel.draw() };
}

class CurvePanel {
  constructor(data) {
    this.data = data;
    this.metric = 'accuracy';
    this.axis = 'epoch';
    this.smoothing = 0;
    this.several = data.runs.length > 1;
    this.hidden = new Set(this.several ? ['train', 'training steps'] : []);
    this.plot = null;
    this.readouts = [];
    this.box = element('div', {
      class: 'plot',
      tabindex: '0',
      role: 'group',
      'aria-describedby': 'curves-keys',
      onkeydown: (event) => this.key(event),
    });
    this.names = element('div', { class: 'chips', role: 'group', 'aria-label': 'Lines' });
    this.meaning = element('p', { class: 'hint' });
    this.position = element('p', { class: 'position', 'aria-live': 'polite' });
    this.values = element('div', {});
    this.root = element(
      'div',
      {},
      this.controls(),
      this.box,
      this.position,
      this.names,
      this.meaning,
      this.help(),
      this.valuesTable(),
    );
    new ResizeObserver(() => this.resize()).observe(this.box);
    this.draw();
  }

  controls() {
    const redraw = (name) => (value) => {
      this[name] = value;
      this.draw();
    };
    const metrics = recordedMetrics(this.data.curves).map((key) => [key, METRICS[key].title]);
    const smoothing = element('input', {
      type: 'range',
      min: '0',
      max: '0.95',
      step: '0.05',
      value: '0',
      id: 'smoothing',
      oninput: (event) => {
        amount.textContent = event.target.value;
        redraw('smoothing')(Number(event.target.value));
      },
    });
    const amount = element('output', { for: 'smoothing' }, '0');
    return element(
      'div',
      { class: 'controls' },
      radios('metric', 'Show', metrics, this.metric, redraw('metric')),
      radios(
        'axis',
        'Against',
        Object.keys(AXES).map((key) => [key, key]),
        this.axis,
        redraw('axis'),
      ),
      element('label', { class: 'slider' }, element('span', {}, 'Smoothing of the lines: ', amount), smoothing),
      element('button', { type: 'button', id: 'zoom-out', onclick: () => this.zoomOut() }, 'Show all'),
    );
  }

  help() {
    const text = 'With the keyboard: arrow keys read values, + and − zoom, Shift and arrow keys move the picture, 0 shows all.';
    return element('p', { class: 'hint', id: 'curves-keys' }, text);
  }

  valuesTable() {
    const opened = details('The values as a table', this.values);
    opened.addEventListener('toggle', () => this.fillTable());
    this.opened = opened;
    return opened;
  }

  /**
   * The lines of the chosen metric: {x, mean, low, high, exact, name, group, kind, colour, dash, width, several, faint}. `exact` has
   * the values without smoothing: {x, mean}.
   */
  lines() {
    return this.data.runs.flatMap((group, i) => {
      const runs = this.data.curves.filter((run) => run.group === i);
      return METRICS[this.metric].lines.flatMap((line, j) => {
        const exact = groupLine(runs, line, this.axis, 0);
        if (!exact || !exact.x.length) return [];
        const made = line.exact || !this.smoothing ? exact : groupLine(runs, line, this.axis, this.smoothing);
        const kind = line.name;
        const style = this.several
          ? { name: `${group.name}, ${kind}`, colour: seriesColour(i), dash: NOT_TEST[kind] ?? seriesDash(i) }
          : { name: kind, colour: seriesColour(j), dash: [] };
        const width = lineWidth(i, this.data.runs.length);
        const faint = kind === 'training steps';
        return [{ ...made, ...style, exact, width, group: group.letter, kind, several: runs.length > 1, faint }];
      });
    });
  }

  isHidden(line) {
    return this.hidden.has(line.group) || this.hidden.has(line.kind);
  }

  draw() {
    this.drawn = this.lines();
    this.plot?.destroy();
    const visible = this.drawn.filter((line) => !this.isHidden(line));
    const columns = visible.flatMap((line) =>
      (line.several ? [line.mean, line.high, line.low] : [line.mean]).map((column) => [line.x, column]),
    );
    const joined = columns.length ? uPlot.join(columns) : [[0, 1]];
    this.visible = visible;
    const hooks = {
      draw: [() => this.plot && this.describe()],
      setCursor: [(plot) => this.read(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, 'x') : null)],
    };
    const options = plotOptions(visible, METRICS[this.metric], this.axis, this.several);
    this.plot = new uPlot({ ...options, ...this.size(), hooks }, joined, this.box);
    this.plot.root.setAttribute('aria-hidden', 'true');
    this.meaning.textContent = METRICS[this.metric].meaning ?? '';
    this.drawNames();
    this.fillTable();
    this.read(null);
  }

  /** What a screen reader says about the picture. It has the part of the axis that is shown. */
  describe() {
    const { min, max } = this.plot.scales.x;
    const what = `${METRICS[this.metric].title} against ${AXES[this.axis]} from ${compact(min)} to ${compact(max)}`;
    this.box.setAttribute('aria-label', `${what}, ${counted(this.visible.length, 'line')}. The values are in the table below.`);
  }

  size() {
    const width = Math.max(240, this.box.clientWidth);
    return { width, height: Math.round(Math.min(460, Math.max(260, width * 0.5))) };
  }

  resize() {
    if (this.plot && this.plot.width !== this.size().width) this.plot.setSize(this.size());
  }

  /** A button for each group, and one for each kind of line. */
  drawNames() {
    this.readouts = [];
    const kinds = [...new Set(this.drawn.map((line) => line.kind))];
    const chips = kinds.map((kind) =>
      this.chip(
        kind,
        kind,
        this.drawn.filter((line) => line.kind === kind),
        this.several,
      ),
    );
    const groups = this.several ? this.data.runs.map((run) => [run, this.drawn.filter((line) => line.group === run.letter)]) : [];
    const own = groups.filter(([, lines]) => lines.length).map(([run, lines]) => this.chip(run.letter, run.name, lines, false));
    this.names.replaceChildren(...own, ...chips);
  }

  /** A button that hides `lines`. It shows the value of the first one that is visible, unless it is `plain`. */
  chip(key, name, lines, plain) {
    const value = element('span', { class: 'value' });
    const line = lines.find((each) => !this.isHidden(each));
    if (line && !plain) this.readouts.push([line, value]);
    const sample = plain ? { ...lines[0], colour: 'var(--muted)' } : (line ?? lines[0]);
    const toggle = () => {
      if (!this.hidden.delete(key)) this.hidden.add(key);
      this.draw();
      [...this.names.children].find((chip) => chip.dataset.key === key)?.focus();
    };
    const made = element(
      'button',
      { type: 'button', class: 'chip', 'aria-pressed': String(!this.hidden.has(key)), onclick: toggle },
      swatch(sample),
      name,
      value,
    );
    made.dataset.key = key;
    return made;
  }

  /** Shows the values at the point that is nearest to `x`, or the last values. A value of another point names its place. */
  read(x) {
    this.at = x;
    const [places] = this.plot.data;
    const place = x === null ? null : places[nearest(places, x)];
    for (const [{ exact }, node] of this.readouts) {
      const i = place === null ? exact.x.length - 1 : nearest(exact.x, place);
      const elsewhere = place === null || exact.x[i] === place ? '' : ` at ${compact(exact.x[i])}`;
      node.textContent = ` ${shortValue(exact.mean[i], this.metric)}${elsewhere}`;
    }
    const unit = this.axis === 'step' ? 'step' : this.axis === 'epoch' ? 'epoch' : 'second';
    this.position.textContent = place === null ? 'At the end:' : `At ${unit} ${compact(place)}:`;
  }

  zoomOut() {
    this.plot.setData(this.plot.data, true);
  }

  /** Shows a part of the picture that is `factor` times as wide, around the position of the reader. */
  zoom(factor) {
    const { min, max } = this.plot.scales.x;
    const [first, last] = this.ends();
    const width = Math.min(last - first, factor * (max - min));
    const middle = this.at ?? (min + max) / 2;
    const low = Math.min(last - width, Math.max(first, middle - width / 2));
    this.plot.setScale('x', { min: low, max: low + width });
  }

  ends() {
    const [x] = this.plot.data;
    return [x[0], x.at(-1)];
  }

  key(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const zoom = { '+': 0.5, '=': 0.5, '-': 2 }[event.key];
    if (zoom) this.zoom(zoom);
    else if (event.key === '0') this.zoomOut();
    else if (direction && event.shiftKey) this.move(direction);
    else if (direction) this.step(direction);
    else return;
    event.preventDefault();
  }

  move(direction) {
    const { min, max } = this.plot.scales.x;
    const [first, last] = this.ends();
    const by = direction > 0 ? Math.min((max - min) / 4, last - max) : Math.max((min - max) / 4, first - min);
    this.plot.setScale('x', { min: min + by, max: max + by });
  }

  /** Moves the cursor by one point. */
  step(direction) {
    const [x] = this.plot.data;
    const start = this.at === null ? (direction > 0 ? -1 : x.length) : nearest(x, this.at);
    const i = Math.min(x.length - 1, Math.max(0, start + direction));
    this.plot.setCursor({ left: this.plot.valToPos(x[i], 'x'), top: 10 });
    this.read(x[i]);
  }

  fillTable() {
    if (!this.opened?.open) return;
    const lines = this.visible.filter((line) => !line.faint);
    const xs = [...new Set(lines.flatMap((line) => line.exact.x))].sort((a, b) => a - b);
    const every = Math.ceil(xs.length / MAX_ROWS);
    const shown = xs.filter((_, i) => (xs.length - 1 - i) % every === 0);
    const columns = [AXES[this.axis], ...lines.map((line) => line.name)].map((title) => ({ title, number: true }));
    const rows = shown.map((x) => [String(Number(x.toPrecision(5))), ...lines.map((line) => cellAt(line, x))]);
    this.values.replaceChildren(table('The values of the curves', columns, rows));
  }
}

function cellAt({ exact }, x) {
  const i = exact.x.indexOf(x);
  return i < 0 ? '' : String(Number(exact.mean[i].toPrecision(5)));
}

function swatch(line) {
  const node = element('span', { class: 'swatch', 'aria-hidden': 'true' });
  node.style.borderTopColor = line.colour;
  node.style.borderTopStyle = line.dash.length ? 'dashed' : 'solid';
  return node;
}

function shortValue(value, metric) {
  if (metric === 'accuracy' || metric === 'error') return value.toFixed(2);
  return value !== 0 && value < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}
