// Which parts of an image speak for a class. The definitions are in `mnist_lite/insight/class_maps.py`.

import { backward, computeSteps } from './network.mjs';

/**
 * The class map of `digit`: {rows, columns, values}. In an exact map, the mean of the values is the logit. In a Grad-CAM map, no
 * value is negative. Null: the network has no maps.
 */
export function classMap(network, steps, digit) {
  const source = network.class_maps;
  if (!source) return null;
  const maps = source.layers > 0 ? steps[source.layers - 1].output : steps[0].input;
  const values = source.exact ? exactValues(network, maps, digit) : gradCamValues(network, steps, maps, digit);
  return { rows: maps.shape[1], columns: maps.shape[2], values };
}

/** The layers after the global pool see each position as an image of its own. */
function exactValues(network, maps, digit) {
  const [channels, rows, columns] = maps.shape;
  const after = network.layers.slice(network.class_maps.layers + 1);
  return Float32Array.from({ length: rows * columns }, (_, place) => {
    const data = Float32Array.from({ length: channels }, (_, c) => maps.data[c * rows * columns + place]);
    const cell = { shape: [channels, 1, 1], data };
    return (after.length ? computeSteps(after, cell).at(-1).output : cell).data[digit];
  });
}

function gradCamValues(network, steps, maps, digit) {
  const [channels, rows, columns] = maps.shape;
  const { shape } = steps.at(-1).output;
  const oneHot = Float32Array.from({ length: 10 }, (_, i) => (i === digit ? 1 : 0));
  const gradient = backward(steps.slice(network.class_maps.layers), { shape, data: oneHot }).data;
  const size = rows * columns;
  const values = new Float32Array(size);
  for (let c = 0; c < channels; c++) {
    let weight = 0;
    for (let i = c * size; i < (c + 1) * size; i++) weight += gradient[i] / size;
    for (let i = 0; i < size; i++) values[i] += weight * maps.data[c * size + i];
  }
  return values.map((value) => Math.max(value, 0));
}
