// Draws images and maps as pixels.

import { channels } from './colours.mjs';
import { element } from './dom.mjs';
import { bytesOf } from './network.mjs';

export const SIDE = 28;

/** The test images of the page: `pixels(i)` has 784 values 0..255. */
export class TestImages {
  constructor(record) {
    this.count = record.count;
    this.labels = record.labels;
    this.index = record.index;
    this.predictions = record.predictions;
    this.bytes = bytesOf(record.pixels);
  }

  pixels(i) {
    return this.bytes.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
  }
}

/**
 * A canvas of `width` x `height` cells. `painter()` gives a function of the place of a cell, which gives its red, green and blue.
 * `repaint` calls `painter` again, because the colours of the theme may be others then.
 */
function cells(width, height, name, painter) {
  const canvas = element('canvas', { width, height, class: 'pixels', role: 'img', 'aria-label': name });
  const context = canvas.getContext('2d');
  canvas.repaint = () => {
    const colour = painter();
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      image.data.set(colour(i), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };
  canvas.repaint();
  return canvas;
}

/** Paints all images and maps of the page again, in the colours of a new theme. */
export function repaintImages() {
  document.querySelectorAll('canvas.pixels').forEach((canvas) => canvas.repaint());
}

/** A digit: ink on paper, in the colours of the theme. */
export function digitCanvas(pixels, name) {
  return cells(SIDE, SIDE, name, () => {
    const [paper, ink] = [channels('var(--paper)'), channels('var(--ink)')];
    return (i) => mixed(paper, ink, pixels[i] / 255);
  });
}

/** A map: 0 is paper, positive values have one colour and negative values another one. `largest` is the full colour. */
export function mapCanvas(values, width, height, largest, name) {
  return cells(width, height, name, () => {
    const [paper, plus, minus] = ['var(--paper)', 'var(--plus)', 'var(--minus)'].map(channels);
    return (i) => mixed(paper, values[i] < 0 ? minus : plus, Math.min(1, Math.abs(values[i]) / largest));
  });
}

/**
 * A digit in grey under a map. `map`: {values, width, height, start, cell}: where the cells lie, in pixels. The largest value is 127.
 */
export function overlayCanvas(pixels, map, name) {
  return cells(4 * SIDE, 4 * SIDE, name, () => {
    const [paper, ink, plus, minus] = ['var(--paper)', 'var(--ink)', 'var(--plus)', 'var(--minus)'].map(channels);
    return (i) => {
      const [x, y] = [(i % (4 * SIDE)) / 4 + 0.125, Math.floor(i / (4 * SIDE)) / 4 + 0.125];
      const grey = mixed(paper, ink, (0.75 * pixels[Math.floor(y) * SIDE + Math.floor(x)]) / 255);
      const value = interpolated(map, x, y) / 127;
      return mixed(grey, value < 0 ? minus : plus, 0.8 * Math.min(1, Math.abs(value)));
    };
  });
}

/** The value of a map at a place of the image, between the centres of its cells. Outside of the map it is 0. */
export function interpolated(map, x, y) {
  // the centre of pixel p is at p + 0.5, and `start` counts from the centre of pixel 0
  const [across, down] = [x, y].map((place) => (place - 0.5 - map.start) / map.cell);
  if (across < 0 || down < 0 || across > map.width || down > map.height) return 0;
  const column = Math.min(map.width - 1, Math.max(0, across - 0.5));
  const row = Math.min(map.height - 1, Math.max(0, down - 0.5));
  const [left, top] = [Math.floor(column), Math.floor(row)];
  const [right, bottom] = [Math.min(left + 1, map.width - 1), Math.min(top + 1, map.height - 1)];
  const [h, v] = [column - left, row - top];
  const at = (r, c) => map.values[r * map.width + c];
  return (1 - v) * ((1 - h) * at(top, left) + h * at(top, right)) + v * ((1 - h) * at(bottom, left) + h * at(bottom, right));
}

function mixed(from, to, part) {
  return from.map((value, i) => Math.round(value + part * (to[i] - value)));
}
