// Builds the page from the data in it.

import { architectureSection } from './architecture.mjs';
import { calibrationSection } from './calibration.mjs';
import { mountCanvas } from './canvas.mjs';
import { commandsSection } from './commands.mjs';
import { confusionSection } from './confusion.mjs';
import { curvesSection } from './curves.mjs';
import { repaintImages, TestImages } from './digit_image.mjs';
import { element, section } from './dom.mjs';
import { mistakesSection } from './mistakes.mjs';
import { readNetwork } from './network.mjs';
import { parametersSection } from './parameters.mjs';
import { runsSection } from './runs_table.mjs';
import { themeButton } from './theme.mjs';
import { verdictSection } from './verdict.mjs';

/** Fills the document. */
export function main() {
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const images = data.images && new TestImages(data.images);
  const network = data.network && !data.network.unsupported ? readNetwork(data.network) : null;
  const canvas = canvasSection(data, network, images);
  const curves = curvesSection(data);
  const parts = [
    verdictSection(data),
    canvas?.node,
    curves?.node,
    data.runs.length > 1 ? runsSection(data) : null,
    new NetworkView(data, network, images).root,
    parametersSection(data),
    commandsSection(data),
  ];
  document.getElementById('main').replaceChildren(...parts.filter(Boolean));
  const redraw = () => {
    canvas?.redraw?.();
    curves?.redraw();
    repaintImages();
  };
  document.getElementById('top').append(...head(data, redraw));
  document.getElementById('foot').append(...foot(data));
}

function head(data, redraw) {
  const sections = [...document.querySelectorAll('main section[id]')].filter((part) => part.id !== 'verdict');
  const links = sections.map((part) =>
    element('li', {}, element('a', { href: `#${part.id}` }, part.querySelector('h2').textContent)),
  );
  const title = element('h1', {}, data.title);
  return [
    element(
      'div',
      { class: 'bar-top' },
      element('span', { class: 'made' }, `mnist-lite report, ${data.made}`),
      themeButton(redraw),
    ),
    title,
    element('nav', { 'aria-label': 'Sections' }, element('ul', {}, ...links)),
  ];
}

function canvasSection(data, network, images) {
  if (!data.network) return null;
  if (!network) return { node: section('canvas', 'Draw a digit', data.network.unsupported) };
  const root = element('div', {});
  const lead =
    'The network reads what you draw, here in this page. The drawing is scaled, and placed by its centre of mass, as the digits of MNIST were.';
  const node = section('canvas', 'Draw a digit', lead, root);
  return { node, ...mountCanvas(root, network, images) };
}

/** The sections about one network. With several networks, the reader chooses one. */
class NetworkView {
  constructor(data, network, images) {
    Object.assign(this, { data, network, images });
    this.group = data.verdict.best;
    this.parts = element('div', {});
    this.root = element('div', { class: 'network' }, data.runs.length > 1 ? this.picker() : null, this.parts);
    this.draw();
  }

  picker() {
    const options = this.data.runs.map((run, i) =>
      element('option', { value: String(i), selected: i === this.group }, `${run.letter} · ${run.name}`),
    );
    const choose = (event) => {
      this.group = Number(event.target.value);
      this.draw();
    };
    return element(
      'p',
      { class: 'picker' },
      element('label', {}, 'One network in detail: ', element('select', { onchange: choose }, ...options)),
    );
  }

  /** The links of the head still lead to these sections. */
  missing() {
    const { reason } = this.data.untested.find((each) => each.group === this.group);
    return [
      ['confusion', 'Confusion'],
      ['mistakes', 'Mistakes'],
      ['calibration', 'Calibration'],
    ].map(([id, title]) => section(id, title, `Not measured: ${reason}.`));
  }

  draw() {
    const run = this.data.runs[this.group];
    const tested = this.data.tested.find((each) => each.group === this.group);
    const seeds = run.seeds.length;
    const parts = [
      seeds > 1 && tested
        ? element(
            'p',
            { class: 'hint' },
            `Confusion, Mistakes and Calibration are those of seed ${tested.seed}, the first of the ${seeds} runs.`,
          )
        : null,
      architectureSection(run, this.network, this.images),
    ];
    if (tested)
      parts.push(confusionSection(tested, this.images), mistakesSection(tested, this.images), calibrationSection(tested));
    else if (this.data.tested.length) parts.push(...this.missing());
    this.parts.replaceChildren(...parts.filter(Boolean));
  }
}

function foot(data) {
  const left = data.left_out.map((line) => element('li', {}, line));
  const made = 'This file has everything inside. It loads nothing from the network and sends nothing.';
  return [
    left.length
      ? element(
          'section',
          { 'aria-labelledby': 'left-out' },
          element('h2', { id: 'left-out' }, 'Not in this page'),
          element('ul', {}, ...left),
        )
      : null,
    element('p', { class: 'hint' }, made),
  ].filter(Boolean);
}
