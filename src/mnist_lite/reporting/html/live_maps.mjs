// The maps of all layers, drawn again with each change on the pad.

import { channels } from './colours.mjs';
import { element } from './dom.mjs';
import { compact, thousands } from './format.mjs';
import { rowsOf } from './network.mjs';

const MAPS_SHOWN = 32;
const PER_ROW = 16;
const TILE = 26; // the least side of a map on the canvas
const GAP = 3;
const HIDDEN = ['identity', 'flatten']; // they change no value

/** `node`, and `draw(steps)`, which shows the outputs of the steps. */
export function liveMaps() {
  const node = element('div', { class: 'live-maps' });
  let rows = [];
  return {
    node,
    draw(steps) {
      const shown = rowsOf(steps).filter((step) => !HIDDEN.includes(step.layer.kind));
      if (!rows.length) {
        rows = shown.map((step) => mapRow(step));
        node.replaceChildren(...rows.map((row) => row.node));
      }
      const colours = [channels('var(--plus)'), channels('var(--minus)')];
      rows.forEach((row, i) => row.draw(shown[i].output, colours));
    },
  };
}

function mapRow({ layer, output }) {
  const [count, height = 1, width = 1] = output.shape;
  const maps = Math.min(count, MAPS_SHOWN);
  const columns = Math.min(maps, PER_ROW);
  const zoom = Math.max(1, Math.round((height * width === 1 ? TILE / 2 : TILE) / height));
  const size = { width: columns * (zoom * width + GAP) - GAP, height: Math.ceil(maps / columns) * (zoom * height + GAP) - GAP };
  const name = `${layer.number} · ${layer.block ? `${layer.block}: ` : ''}${layer.text}`;
  const what = height * width === 1 ? 'values' : `maps of ${height} × ${width}`;
  const cut = maps < count ? `${maps} of ${thousands(count)}` : count;
  const canvas = element('canvas', { ...size, class: 'pixels', role: 'img', 'aria-label': `${name}: ${cut} ${what}` });
  canvas.style.width = `${columns * (height * width === 1 ? 1.1 : 2.75)}rem`;
  const context = canvas.getContext('2d');
  const image = context.createImageData(size.width, size.height);
  const range = element('span', {});
  return {
    node: element(
      'figure',
      {},
      element('figcaption', {}, element('b', {}, name), element('span', {}, `${cut} ${what}`), range),
      canvas,
    ),
    draw({ data }, [plus, minus]) {
      let [lowest, highest] = [0, 0];
      for (let i = 0; i < data.length; i++) {
        if (data[i] < lowest) lowest = data[i];
        if (data[i] > highest) highest = data[i];
      }
      const scale = 255 / Math.max(highest, -lowest, 1e-12);
      for (let map = 0; map < maps; map++) {
        const [top, left] = [Math.floor(map / columns) * (zoom * height + GAP), (map % columns) * (zoom * width + GAP)];
        for (let y = 0; y < zoom * height; y++) {
          const row = (map * height + Math.floor(y / zoom)) * width;
          let pixel = 4 * ((top + y) * size.width + left);
          for (let x = 0; x < zoom * width; x++, pixel += 4) {
            const value = data[row + Math.floor(x / zoom)];
            const colour = value < 0 ? minus : plus;
            image.data[pixel] = colour[0];
            image.data[pixel + 1] = colour[1];
            image.data[pixel + 2] = colour[2];
            image.data[pixel + 3] = Math.abs(value) * scale;
          }
        }
      }
      context.putImageData(image, 0, 0);
      range.textContent = `${compact(lowest)} to ${compact(highest)}`;
    },
  };
}
