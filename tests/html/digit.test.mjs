import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asMnist, resampled } from '../../src/mnist_lite/reporting/html/digit.mjs';

/** A drawing with rectangles of ink: [top, left, height, width]. */
function drawing(side, ...rectangles) {
  const data = new Uint8Array(side * side);
  for (const [top, left, height, width] of rectangles) {
    for (let y = top; y < top + height; y++) data.fill(255, y * side + left, y * side + left + width);
  }
  return { width: side, height: side, data };
}

/** [top, bottom, left, right] of the ink. */
function box(image) {
  const places = Array.from(image.keys()).filter((i) => image[i] > 0);
  const [rows, columns] = [places.map((i) => Math.floor(i / 28)), places.map((i) => i % 28)];
  return [Math.min(...rows), Math.max(...rows), Math.min(...columns), Math.max(...columns)];
}

test('the longer side becomes 20 pixels and the centre of mass the middle', () => {
  assert.deepEqual(box(asMnist(drawing(100, [10, 10, 60, 30]))), [4, 23, 9, 18]);
  assert.deepEqual(box(asMnist(drawing(100, [70, 20, 10, 40]))), [12, 16, 4, 23]);
  assert.deepEqual(box(asMnist(drawing(20, [5, 5, 4, 2]))), [4, 23, 9, 18]);
});

test('specks are removed, parts of the digit are not', () => {
  const alone = asMnist(drawing(100, [20, 30, 60, 30]));
  assert.deepEqual(asMnist(drawing(100, [20, 30, 60, 30], [5, 5, 3, 3])), alone);
  assert.notDeepEqual(asMnist(drawing(100, [20, 30, 60, 30], [5, 5, 20, 20])), alone);
});

test('nothing is drawn', () => {
  assert.equal(asMnist(drawing(50)), null);
});

test('resampling keeps the mean, and a constant image', () => {
  const data = Float64Array.from({ length: 70 }, (_, i) => (i * 37) % 11);
  const mean = (values) => values.reduce((a, b) => a + b) / values.length;
  assert.ok(Math.abs(mean(resampled({ width: 10, height: 7, data }, 4, 3)) - mean(data)) < 1e-12);
  for (const [width, height] of [
    [3, 5],
    [10, 7],
    [31, 23],
  ]) {
    const constant = resampled({ width: 10, height: 7, data: new Float64Array(70).fill(3) }, width, height);
    assert.ok(constant.every((value) => Math.abs(value - 3) < 1e-12));
  }
});

test('twice as many pixels are interpolated', () => {
  const wide = resampled({ width: 2, height: 1, data: Float64Array.of(0, 1) }, 4, 1);
  assert.deepEqual(Array.from(wide), [0, 0.25, 0.75, 1]);
});
