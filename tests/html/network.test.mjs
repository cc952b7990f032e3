import assert from 'node:assert/strict';
import { test } from 'node:test';
import { erf } from '../../src/mnist_lite/reporting/html/activation.mjs';
import { argmax, backward, computeSteps, readNetwork, rowsOf, softmax } from '../../src/mnist_lite/reporting/html/network.mjs';

const tensor = (shape, values) => ({ shape, data: Float32Array.from(values) });
const plain = { kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1, bias: null };
const output = (layers, x) => computeSteps(layers, x).at(-1).output;

test('a convolution by hand', () => {
  const layer = { ...plain, kind: 'conv', out: 1, kernel: 2, weight: Float32Array.of(1, 2, 3, 4), bias: Float32Array.of(0.5) };
  const x = tensor([1, 2, 3], [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(output([layer], x), tensor([1, 1, 2], [1 + 4 + 12 + 20 + 0.5, 2 + 6 + 15 + 24 + 0.5]));
});

test('the weights are little-endian float32', () => {
  const bytes = new DataView(new ArrayBuffer(12));
  [1.5, -2, 0.25].forEach((value, i) => bytes.setFloat32(4 * i, value, true));
  const weights = btoa(String.fromCharCode(...new Uint8Array(bytes.buffer)));
  const network = readNetwork({ weights, layers: [{ kind: 'batch_norm', weight: [0, 1], bias: [2, 1] }] });
  assert.deepEqual(output(network.layers, tensor([1], [2])), tensor([1], [3.25]));
});

test('a residual block adds its input, and its rows come in the order of the table', () => {
  const double = { kind: 'batch_norm', weight: Float32Array.of(2), bias: Float32Array.of(0), number: 1 };
  const block = { kind: 'residual', body: [double], projection: null, number: 2 };
  const steps = computeSteps([block], tensor([1, 1, 2], [1, -1]));
  assert.deepEqual(steps[0].output, tensor([1, 1, 2], [3, -3]));
  assert.deepEqual(
    rowsOf(steps).map((step) => step.layer.number),
    [1, 2],
  );
  assert.deepEqual(backward(steps, tensor([1, 1, 2], [1, 0])), tensor([1, 1, 2], [3, 0]));
});

test('a maximum of padding and negative values is the largest value', () => {
  const layer = { kind: 'max_pool', kernel: 2, stride: 2, padding: 1 };
  assert.deepEqual(output([layer], tensor([1, 2, 2], [-1, -2, -3, -4])), tensor([1, 2, 2], [-1, -2, -3, -4]));
});

test('what is not a number stays so', () => {
  const x = tensor([1, 2, 2], [1, NaN, 3, 4]);
  for (const layer of [{ kind: 'relu' }, { kind: 'max_pool', kernel: 2, stride: 2, padding: 0 }, { kind: 'global_avg_pool' }]) {
    assert.ok(output([layer], x).data.some(Number.isNaN), layer.kind);
  }
  assert.equal(argmax([NaN, 1]), -1);
});

test('the error function', () => {
  for (const [x, expected] of [
    [0, 0],
    [0.5, 0.5204998778],
    [1, 0.8427007929],
    [-2, -0.995322265],
    [4, 0.9999999846],
  ]) {
    assert.ok(Math.abs(erf(x) - expected) < 2e-7, String(x));
  }
});

test('probabilities of large logits', () => {
  const probabilities = softmax([1000, 1000, -1000]);
  assert.deepEqual(probabilities, [0.5, 0.5, 0]);
});
