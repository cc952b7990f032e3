// Computes a trained network: its logits, and the output of each layer.
//
// `mnist_lite/insight/report_network.py` writes the networks. A layer has a `kind`, its arguments and its weights, and most layers
// have a row in the layer table: `number`, `text`, `shape`.

import { activations } from './activation.mjs';
import { conv, linear } from './convolution.mjs';
import { batchNorm, groupNorm } from './normalization.mjs';
import { avgPool, flatten, globalAvgPool, maxPool } from './pooling.mjs';

/** The operation of each kind of layer, but `residual`. */
const operations = {
  ...activations,
  conv,
  linear,
  batch_norm: batchNorm,
  group_norm: groupNorm,
  max_pool: maxPool,
  avg_pool: avgPool,
  global_avg_pool: globalAvgPool,
  flatten,
};

/** The bytes of a base64 text. */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** A network as Python writes it, with its weights as Float32Arrays. */
export function readNetwork(described) {
  const view = new DataView(bytesOf(described.weights).buffer);
  const tensor = (place) => place && Float32Array.from({ length: place[1] }, (_, i) => view.getFloat32(4 * (place[0] + i), true));
  const read = (layer) => {
    if (layer.kind === 'residual') {
      return { ...layer, body: layer.body.map(read), projection: layer.projection && read(layer.projection) };
    }
    return { ...layer, weight: tensor(layer.weight), bias: tensor(layer.bias) };
  };
  return { ...described, weights: null, layers: described.layers.map(read) };
}

/**
 * Computes `layers` one after the other. Each step has the layer, its input and its output. A step of a residual block has the steps
 * of its `body` and the step of its `projection`, too.
 */
export function computeSteps(layers, x) {
  const steps = [];
  for (const layer of layers) {
    const step = layer.kind === 'residual' ? residualStep(layer, x) : plainStep(layer, x);
    steps.push(step);
    x = step.output;
  }
  return steps;
}

function plainStep(layer, input) {
  return { layer, input, output: operations[layer.kind].forward(layer, input) };
}

function residualStep(layer, input) {
  const body = computeSteps(layer.body, input);
  const projection = layer.projection && plainStep(layer.projection, input);
  return { layer, input, body, projection, output: sum(body.at(-1).output, (projection ?? { output: input }).output) };
}

function sum(a, b) {
  return { shape: a.shape, data: a.data.map((value, i) => value + b.data[i]) };
}

/** The gradient of the input of the first of `steps`, from the gradient of the output of the last. */
export function backward(steps, gradient) {
  for (const step of [...steps].reverse()) {
    const { layer, input } = step;
    if (layer.kind === 'residual') {
      const shortcut = step.projection ? backward([step.projection], gradient) : gradient;
      gradient = sum(backward(step.body, gradient), shortcut);
    } else {
      gradient = operations[layer.kind].backward(layer, input, gradient);
    }
  }
  return gradient;
}

/** The steps of a network for an image: 784 values 0..255, row by row. */
export function computeNetwork(network, pixels) {
  const data = Float32Array.from(pixels, (pixel) => (pixel / 255 - network.mean) / network.std);
  return computeSteps(network.layers, { shape: [1, 28, 28], data });
}

/** The ten logits, from the steps of a network. */
export function logitsOf(steps) {
  return steps.at(-1).output.data;
}

/** The steps that have a row in the layer table, in its order. */
export function rowsOf(steps) {
  return steps
    .flatMap((step) => [...rowsOf(step.body ?? []), ...(step.projection ? [step.projection] : []), step])
    .filter((step) => step.layer.number !== undefined);
}

/** The probabilities of the classes. */
export function softmax(logits) {
  const largest = Math.max(...logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = exponentials.reduce((a, b) => a + b);
  return exponentials.map((value) => value / total);
}

/** The place of the largest value. */
export function argmax(values) {
  return values.indexOf(Math.max(...values));
}
