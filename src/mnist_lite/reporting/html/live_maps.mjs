// The maps of all layers, drawn again with each change on the pad.

import { channels } from './colours.mjs';
import { element } from './dom.mjs';
import { compact, thousands } from './format.mjs';
import { rowsOf } from './network.mjs';

const MAPS_SHOWN = 32;
const PER_ROW = 16;
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
  const size = { width: columns * (width + 1) - 1, height: Math.ceil(maps / columns) * (height + 1) - 1 };
  const name = `${layer.number} · ${layer.block ? `${layer.block}: ` : ''}${layer.text}`;
  const what = height * width === 1 ? 'values' : `maps of ${height} × ${width}`;
  const cut = maps < count ? `${maps} of ${thousands(count)}` : count;
  const canvas = element('canvas', { ...size, class: 'pixels', role: 'img', 'aria-label': `${name}: ${cut} ${what}` });
  canvas.style.width = `${columns * (height * width === 1 ? 1.1 : 2.75)}rem`;
  const context = canvas.getContext('2d');
  const image = context.createImageData(size.width, size.height);
  const range = element('span', {});
  return {
    node: element('figure', {}, element('figcaption', {}, element('b', {}, name), ` ${cut} ${what}`, element('br'), range), canvas),
    draw({ data }, [plus, minus]) {
      let [lowest, highest] = [0, 0];
      for (let i = 0; i < data.length; i++) {
        if (data[i] < lowest) lowest = data[i];
        if (data[i] > highest) highest = data[i];
      }
      const scale = 255 / Math.max(highest, -lowest, 1e-12);
      for (let map = 0, i = 0; map < maps; map++) {
        const corner = Math.floor(map / columns) * (height + 1) * size.width + (map % columns) * (width + 1);
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++, i++) {
            const pixel = 4 * (corner + y * size.width + x);
            const colour = data[i] < 0 ? minus : plus;
            for (let c = 0; c < 3; c++) image.data[pixel + c] = colour[c];
            image.data[pixel + 3] = Math.abs(data[i]) * scale;
          }
        }
      }
      context.putImageData(image, 0, 0);
      range.textContent = `from ${compact(lowest)} to ${compact(highest)}`;
    },
  };
}
