// Pools and flatten, forward and backward. See convolution.mjs for the form of tensors and operations.

import { outputSide } from './convolution.mjs';

/** Calls `visit(output place, input places)` for each window of a pool. Places in the padding are left out. */
function eachWindow(layer, x, visit) {
  const [channels, height, width] = x.shape;
  const [rows, columns] = [outputSide(height, layer), outputSide(width, layer)];
  const places = [];
  let place = 0;
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < rows; row++) {
      const top = row * layer.stride - layer.padding;
      for (let column = 0; column < columns; column++) {
        const left = column * layer.stride - layer.padding;
        places.length = 0;
        for (let y = Math.max(top, 0); y < Math.min(top + layer.kernel, height); y++) {
          for (let i = Math.max(left, 0); i < Math.min(left + layer.kernel, width); i++) {
            places.push((c * height + y) * width + i);
          }
        }
        visit(place++, places);
      }
    }
  }
}

function pooledShape(layer, x) {
  return [x.shape[0], outputSide(x.shape[1], layer), outputSide(x.shape[2], layer)];
}

function zeros(shape) {
  return { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) };
}

function placeOfLargest(places, data) {
  let best = places[0];
  for (const place of places) if (data[place] > data[best] || Number.isNaN(data[place])) best = place;
  return best;
}

export const maxPool = {
  forward(layer, x) {
    const output = zeros(pooledShape(layer, x));
    eachWindow(layer, x, (place, places) => (output.data[place] = x.data[placeOfLargest(places, x.data)]));
    return output;
  },
  backward(layer, x, gradient) {
    const result = zeros(x.shape);
    eachWindow(layer, x, (place, places) => (result.data[placeOfLargest(places, x.data)] += gradient.data[place]));
    return result;
  },
};

export const avgPool = {
  forward(layer, x) {
    const output = zeros(pooledShape(layer, x));
    eachWindow(layer, x, (place, places) => {
      let sum = 0;
      for (const i of places) sum += x.data[i];
      output.data[place] = sum / layer.kernel ** 2; // the zeros of the padding count
    });
    return output;
  },
  backward(layer, x, gradient) {
    const result = zeros(x.shape);
    eachWindow(layer, x, (place, places) => {
      for (const i of places) result.data[i] += gradient.data[place] / layer.kernel ** 2;
    });
    return result;
  },
};

export const globalAvgPool = {
  forward(_layer, x) {
    const [channels, height, width] = x.shape;
    const size = height * width;
    const data = Float32Array.from({ length: channels }, (_, c) => {
      let sum = 0;
      for (let i = c * size; i < (c + 1) * size; i++) sum += x.data[i];
      return sum / size;
    });
    return { shape: [channels, 1, 1], data };
  },
  backward(_layer, x, gradient) {
    const size = x.shape[1] * x.shape[2];
    return { shape: x.shape, data: x.data.map((_, i) => gradient.data[Math.floor(i / size)] / size) };
  },
};

export const flatten = {
  forward: (_layer, x) => ({ shape: [x.data.length], data: x.data }),
  backward: (_layer, x, gradient) => ({ shape: x.shape, data: gradient.data }),
};
