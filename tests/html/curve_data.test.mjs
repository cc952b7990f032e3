import assert from 'node:assert/strict';
import { test } from 'node:test';

import { groupLine, nearest, recordedMetrics, smoothed } from '../../src/mnist_lite/reporting/html/curve_data.mjs';

const LINE = { kind: 'evaluations', key: 'test/accuracy' };

function run(step, accuracy, seconds = step) {
  return { evaluations: { step, epoch: step.map((each) => each / 10), seconds, 'test/accuracy': accuracy } };
}

test('smoothing with 0 changes nothing, and a constant stays constant', () => {
  assert.deepEqual(smoothed([3, 1, 2], 0), [3, 1, 2]);
  smoothed([5, 5, 5], 0.9).forEach((value) => assert.ok(Math.abs(value - 5) < 1e-12));
});

test('a smoothed value is a weighted mean of the values so far', () => {
  const [a, b, c] = smoothed([1, 2, 4], 0.5);
  assert.ok(Math.abs(a - 1) < 1e-12);
  assert.ok(Math.abs(b - (0.5 * 1 + 1 * 2) / 1.5) < 1e-12);
  assert.ok(Math.abs(c - (0.25 * 1 + 0.5 * 2 + 1 * 4) / 1.75) < 1e-12);
});

test('a line over seeds has the mean, the lowest and the highest value at each step that all runs have', () => {
  const runs = [run([10, 20, 30], [90, 95, 99], [1, 2, 3]), run([10, 20], [80, 97], [3, 4])];
  assert.deepEqual(groupLine(runs, LINE, 'step', 0), { x: [10, 20], mean: [85, 96], low: [80, 95], high: [90, 97] });
  assert.deepEqual(groupLine(runs, LINE, 'epoch', 0).x, [1, 2]);
  assert.deepEqual(groupLine(runs, LINE, 'seconds', 0).x, [2, 3]);
});

test('the error is 100 minus the accuracy, and an error of 0 has no logarithm', () => {
  const line = groupLine([run([1, 2, 3], [90, 100, 99])], { ...LINE, error: true }, 'step', 0);
  assert.deepEqual(
    [line.x, line.mean],
    [
      [1, 3],
      [10, 1],
    ],
  );
});

test('a metric that no run has is no line', () => {
  assert.equal(groupLine([run([1], [90])], { kind: 'evaluations', key: 'holdout/loss' }, 'step', 0), null);
});

test('nearest', () => {
  assert.deepEqual(
    [-1, 2.4, 2.6, 99].map((x) => nearest([1, 2, 3], x)),
    [0, 1, 2, 2],
  );
});

test('a metric that no run has recorded is not offered', () => {
  const evaluations = { 'test/accuracy': [98], 'test/loss': [0.1] };
  assert.deepEqual(recordedMetrics([{ evaluations, steps: {} }]), ['accuracy', 'error', 'loss']);
  assert.deepEqual(recordedMetrics([{ evaluations: {}, steps: { lr: [0.1] } }]), ['lr']);
});
