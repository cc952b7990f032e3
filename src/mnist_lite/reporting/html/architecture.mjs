// The layers of a network. A click on a layer shows what one of its values sees of a digit, and its maps.

import { digitCanvas, mapCanvas, SIDE } from './digit_image.mjs';
import { element, howTo, scrollable, section, svg } from './dom.mjs';
import { compact, counted, thousands } from './format.mjs';
import { computeNetwork, rowsOf } from './network.mjs';

const MAX_MAPS = 64;

/** `network` is one that `readNetwork` has read, or null: then there are no maps. `images` are TestImages, or null. */
export function architectureSection(run, network, images) {
  if (!run.layers) return section('layers', 'Layers', 'The config of this run has no layers that can be built.');
  const total = `${thousands(run.parameters)} parameters and ${thousands(run.multiply_adds)} multiply-adds per image.`;
  const click = `Click a layer to see what one of its values sees${network && images ? ', and its maps' : ''}.`;
  const lead = [`${counted(run.layers.length, 'layer')}, ${total}`, howTo(click)];
  return section('layers', 'Layers', lead, new LayerPanel(run, network, images).root);
}

class LayerPanel {
  constructor(run, network, images) {
    this.run = run;
    this.network = network;
    this.images = images;
    this.image = 0;
    this.layer = run.layers.find((layer) => layer.receptive_field > 1) ?? run.layers[0];
    this.buttons = new Map();
    this.view = element('div', { class: 'layer-view' });
    this.root = element('div', { class: 'side-by-side' }, this.table(), this.view);
    this.show(this.layer);
  }

  table() {
    const most = Math.max(1, ...this.run.layers.map((layer) => layer.parameters));
    const heads = ['#', 'Layer', 'Output', 'Parameters', 'Multiply-adds', 'Receptive field'].map((title, i) =>
      element('th', { scope: 'col', class: i === 1 ? null : 'number' }, title),
    );
    const rows = this.run.layers.map((layer) => this.row(layer, most));
    const caption = element('caption', { class: 'hidden' }, 'Layers');
    return scrollable(
      'Layers',
      element(
        'table',
        { class: 'layers' },
        caption,
        element('thead', {}, element('tr', {}, ...heads)),
        element('tbody', {}, ...rows),
      ),
    );
  }

  row(layer, most) {
    const name = layer.block ? `${layer.block}: ${layer.text}` : layer.text;
    const button = element(
      'button',
      { type: 'button', class: 'link', 'aria-pressed': 'false', onclick: () => this.choose(layer) },
      name,
    );
    this.buttons.set(layer, button);
    const bar = element('span', { class: 'bar', 'aria-hidden': 'true' });
    bar.style.width = `${(100 * layer.parameters) / most}%`;
    return element(
      'tr',
      { class: layer.parameters ? null : 'light', onclick: (event) => event.target === button || this.choose(layer) },
      element('td', { class: 'number' }, String(layer.number)),
      element('th', { scope: 'row' }, button),
      element('td', { class: 'number' }, layer.shape.join(' × ')),
      element('td', { class: 'number barred' }, bar, element('span', {}, layer.parameters ? thousands(layer.parameters) : '')),
      element('td', { class: 'number' }, layer.multiply_adds ? thousands(layer.multiply_adds) : ''),
      element('td', { class: 'number' }, `${layer.receptive_field} × ${layer.receptive_field}`),
    );
  }

  /** On a narrow screen the view is below the table, so the page scrolls to it. */
  choose(layer) {
    this.show(layer);
    if (getComputedStyle(this.view).position === 'static') this.view.scrollIntoView();
  }

  show(layer) {
    this.buttons.get(this.layer).setAttribute('aria-pressed', 'false');
    this.buttons.get(this.layer).closest('tr').classList.remove('chosen');
    this.layer = layer;
    this.buttons.get(layer).setAttribute('aria-pressed', 'true');
    this.buttons.get(layer).closest('tr').classList.add('chosen');
    const name = `${layer.number} · ${layer.block ? `${layer.block}: ` : ''}${layer.text}`;
    this.view.replaceChildren(
      element('h3', { id: 'layer-name' }, name),
      this.field(),
      ...[this.steps(), this.maps()].flat().filter(Boolean),
      element('p', { class: 'back' }, element('a', { href: '#layers' }, 'Back to the table of layers')),
    );
  }

  field() {
    const { layer } = this;
    const [first, last] = layer.field;
    const side = last - first + 1;
    const distance = layer.shape[1] > 1 ? ` Neighbouring values are ${counted(layer.jump, 'pixel')} apart.` : '';
    const what = layer.shape[1] > 1 ? 'The middle value' : 'Each value';
    const text = first < 0 ? `${what} sees only padding.` : `${what} sees ${side} × ${side} pixels: the square.${distance}`;
    const pixels = this.images ? this.images.pixels(this.image) : new Uint8Array(SIDE * SIDE);
    const name = this.images
      ? `Test image ${this.images.index[this.image]}, a ${this.images.labels[this.image]}`
      : 'An empty image';
    const square = first < 0 ? null : svg('rect', { x: first, y: first, width: side, height: side, class: 'field' });
    const overlay = svg('svg', { viewBox: `-0.3 -0.3 ${SIDE + 0.6} ${SIDE + 0.6}`, 'aria-hidden': 'true' }, square);
    return element(
      'div',
      { class: 'field-view' },
      element('div', { class: 'digit' }, digitCanvas(pixels, name), overlay),
      element('p', {}, text),
    );
  }

  steps() {
    if (!this.images) return null;
    const go = (by) => {
      this.image = (this.image + by + this.images.count) % this.images.count;
      this.show(this.layer);
      this.view.querySelector(by < 0 ? '.previous' : '.next').focus();
    };
    const label = `test image ${this.images.index[this.image]}, a ${this.images.labels[this.image]}`;
    return element(
      'p',
      { class: 'stepper' },
      element('button', { type: 'button', class: 'previous', onclick: () => go(-1), 'aria-label': 'Previous image' }, '←'),
      element('button', { type: 'button', class: 'next', onclick: () => go(1), 'aria-label': 'Next image' }, '→'),
      element('span', {}, label),
    );
  }

  maps() {
    if (!this.network || !this.images) {
      return element(
        'p',
        { class: 'hint' },
        this.network
          ? 'This page has no maps: it has no test images.'
          : 'This page has no maps of this network: only the page of one run of at most 500,000 parameters has them.',
      );
    }
    const steps = rowsOf(computeNetwork(this.network, this.images.pixels(this.image)));
    const { shape, data } = steps.find((step) => step.layer.number === this.layer.number).output;
    const [count, height = 1, width = 1] = shape;
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
    if (height * width === 1) return vector(data.slice(0, MAX_MAPS), largest, count);
    const size = height * width;
    const maps = Array.from({ length: Math.min(count, MAX_MAPS) }, (_, c) => {
      const values = data.subarray(c * size, (c + 1) * size);
      return mapCanvas(
        values,
        width,
        height,
        largest,
        `Map ${c + 1}: from ${compact(Math.min(...values))} to ${compact(Math.max(...values))}`,
      );
    });
    const shown = maps.length < count ? `The first ${maps.length} of ${counted(count, 'map')}` : counted(count, 'map');
    const text = `${shown} of ${height} × ${width}. Orange is positive, blue is negative. The strongest colour is ±${compact(largest)}.`;
    return [element('div', { class: 'maps' }, ...maps), element('p', { class: 'hint' }, text)];
  }
}

function vector(values, largest, count) {
  const rows = Array.from(values, (value, i) => {
    const bar = element('span', { class: value < 0 ? 'bar minus' : 'bar', 'aria-hidden': 'true' });
    bar.style.width = `${(100 * Math.abs(value)) / largest}%`;
    return element(
      'li',
      {},
      element('span', { class: 'name' }, String(i)),
      element('span', { class: 'track' }, bar),
      element('span', { class: 'number' }, compact(value)),
    );
  });
  const cut = values.length < count ? `The first ${values.length} of ${count} values.` : `${count} values, counted from 0.`;
  return [element('ul', { class: 'values' }, ...rows), element('p', { class: 'hint' }, cut)];
}
