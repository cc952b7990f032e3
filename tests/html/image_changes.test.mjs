import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedImage, NO_CHANGES } from '../../src/mnist_lite/reporting/html/image_changes.mjs';

const image = Uint8Array.from({ length: 784 }, (_, i) => (i * 7919) % 256);
const at = (pixels, row, column) => pixels[row * 28 + column];

test('no change gives the same image', () => {
  assert.deepEqual(changedImage(image, NO_CHANGES), image);
});

test('a shift moves each pixel, and paper comes in', () => {
  const moved = changedImage(image, { ...NO_CHANGES, right: 2, down: -3 });
  assert.equal(at(moved, 5, 9), at(image, 8, 7));
  assert.equal(at(moved, 27, 9), 0);
  assert.equal(at(moved, 5, 1), 0);
});

test('a quarter turn is clockwise and exact', () => {
  const turned = changedImage(image, { ...NO_CHANGES, angle: 90 });
  for (const [row, column] of [
    [0, 0],
    [3, 20],
    [27, 13],
  ]) {
    assert.ok(Math.abs(at(turned, column, 27 - row) - at(image, row, column)) <= 1);
  }
});

test('four turns of 90 degrees give the image back', () => {
  let turned = image;
  for (let i = 0; i < 4; i++) turned = changedImage(turned, { ...NO_CHANGES, angle: 90 });
  assert.ok(turned.every((value, i) => Math.abs(value - image[i]) <= 1));
});

test('the noise has the standard deviation that is asked for, and is the same each time', () => {
  const grey = new Uint8Array(784).fill(128);
  const noisy = changedImage(grey, { ...NO_CHANGES, noise: 0.1 });
  const mean = noisy.reduce((a, b) => a + b) / 784;
  const deviation = Math.sqrt(noisy.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 784);
  assert.ok(Math.abs(mean - 128) < 4 && Math.abs(deviation - 25.5) < 3, `${mean} ${deviation}`);
  assert.deepEqual(changedImage(grey, { ...NO_CHANGES, noise: 0.1 }), noisy);
});
