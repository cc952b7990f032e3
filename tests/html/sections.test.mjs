import assert from 'node:assert/strict';
import { test } from 'node:test';

import { linearScale, logScale, ticks } from '../../src/mnist_lite/reporting/html/chart.mjs';
import { imagesOfCell, mostConfused } from '../../src/mnist_lite/reporting/html/confusion.mjs';
import { interpolated } from '../../src/mnist_lite/reporting/html/digit_image.mjs';
import { mapsOf } from '../../src/mnist_lite/reporting/html/mistakes.mjs';
import { logTicks, placedLabels } from '../../src/mnist_lite/reporting/html/parameters.mjs';
import { sortedRuns } from '../../src/mnist_lite/reporting/html/runs_table.mjs';
import { headline } from '../../src/mnist_lite/reporting/html/verdict.mjs';

test('scales and ticks', () => {
  assert.equal(linearScale([0, 10], [100, 0])(2.5), 75);
  assert.ok(Math.abs(logScale([10, 1000], [0, 2])(100) - 1) < 1e-12);
  assert.deepEqual(ticks(97.43, 99.66, 6), [97.5, 98, 98.5, 99, 99.5]);
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
});

test('runs are sorted by number or by name, and runs without a value come last', () => {
  const runs = [
    { name: 'run 10', low: 3 },
    { name: 'run 9', low: null },
    { name: 'a', low: 7 },
  ];
  const names = (column, descending) => sortedRuns(runs, column, descending).map((run) => run.name);
  const low = { value: (run) => run.low };
  assert.deepEqual(names(low, true), ['a', 'run 10', 'run 9']);
  assert.deepEqual(names(low, false), ['run 10', 'a', 'run 9']);
  assert.deepEqual(names({ value: (run) => run.name }, false), ['a', 'run 9', 'run 10']);
});

test('the most confused pair is not on the diagonal', () => {
  const confusion = Array.from({ length: 10 }, (_, i) => Array.from({ length: 10 }, (_, j) => (i === j ? 900 : 0)));
  assert.equal(mostConfused(confusion), null);
  confusion[4][9] = 3;
  confusion[2][7] = 5;
  assert.deepEqual(mostConfused(confusion), [2, 7]);
});

test('the images of a cell', () => {
  assert.deepEqual(imagesOfCell({ predictions: [1, 2, 2, 2], confidence: [0.9, 0.5, 0.8, 0.6] }, [2, 2, 1, 2], 2, 2), [3, 1]);
});

test('a map is interpolated between the centres of its cells, and is 0 outside', () => {
  // two cells of 14 pixels: the centres are at 7 and 21, counted from the left edge of pixel 0
  const map = { width: 2, height: 1, start: -0.5, cell: 14, values: [10, 30] };
  assert.deepEqual(
    [0, 7, 14, 21, 27.9].map((x) => interpolated(map, x, 7)),
    [10, 10, 20, 30, 30],
  );
  assert.deepEqual([interpolated(map, 28.1, 7), interpolated(map, 7, 14.1)], [0, 0]);
});

test('each mistake has two maps of signed bytes', () => {
  const values = Buffer.from(Int8Array.from([1, -2, 3, -4, 5, -6, 7, -127]).buffer).toString('base64');
  const maps = mapsOf({ maps: { values, width: 2, height: 1, start: 0, cell: 1 } });
  assert.equal(maps.count, 2);
  assert.deepEqual([...maps.of(1, 0).values, ...maps.of(1, 1).values], [5, -6, 7, -127]);
});

test('no label covers a point or another label', () => {
  const points = Array.from({ length: 12 }, (_, i) => ({ x: 100 + 4 * i, y: 100 + 3 * (i % 4), text: `network ${i}` }));
  const labels = placedLabels(points, { left: 56, right: 820, top: 0, bottom: 400 });
  assert.ok(labels.length >= 3);
  labels.forEach((a, i) => {
    const width = 7 * a.text.length;
    labels
      .slice(i + 1)
      .forEach((b) =>
        assert.ok(Math.abs(a.base - b.base) >= 13 || a.left >= b.left + 7 * b.text.length || b.left >= a.left + width),
      );
  });
});

test('a label stays inside of the picture', () => {
  const points = Array.from({ length: 6 }, (_, i) => ({ x: 100 + 2 * i, y: 40, text: `network ${i}` }));
  placedLabels(points, { left: 56, right: 820, top: 34, bottom: 80 }).forEach((label) =>
    assert.ok(label.base - 10 >= 34 && label.base + 3 <= 80),
  );
});

test('a label at the right edge is to the left of its point', () => {
  const [label] = placedLabels([{ x: 815, y: 50, text: 'era1' }], { left: 56, right: 820, top: 0, bottom: 400 });
  assert.ok(label.left < 815 - 28);
});

test('the headline names the images, the seeds and the parameters', () => {
  const best = { parameters: 7838, seeds: [0, 1, 2], images: "MNIST's 10,000 test images" };
  const other = { ...best, images: '360 test images of digits (NOT MNIST)' };
  assert.match(
    headline({ runs: [best, best, other], verdict: { compared: [0, 1] } }, best),
    /the best of 2 .* on these images after/,
  );
  assert.match(headline({ runs: [best, other], verdict: { compared: [0] } }, best), /are recognised after the last epoch/);
  assert.equal(
    headline({ runs: [best, best], verdict: { compared: [0, 1] } }, best),
    "of MNIST's 10,000 test images are recognised by the best of 2 groups of runs after the last epoch, as the mean of 3 seeds, with 7,838 parameters.",
  );
});

test('the best run has its name, and no name is far from its point', () => {
  const points = Array.from({ length: 40 }, (_, i) => ({ x: 300 + (i % 7), y: 200 + (i % 5), text: `network ${i}`, own: true }));
  const labels = placedLabels(points, { left: 56, right: 400, top: 34, bottom: 380 });
  assert.equal(labels[0].text, 'network 0');
  labels.forEach((label) => {
    assert.ok(Math.abs(label.base - label.y) <= 20);
    assert.ok(label.left >= 56 && label.left + 8 * label.text.length <= 420);
  });
});

test('a logarithmic axis always has numbers', () => {
  assert.deepEqual(logTicks([700, 40000]), [1000, 3000, 10000, 30000]);
  assert.deepEqual(logTicks([5225, 11757]), [6000, 8000, 10000]);
});
