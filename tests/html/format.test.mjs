import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  compact,
  counted,
  duration,
  listed,
  percent,
  share,
  signed,
  thousands,
} from '../../src/mnist_lite/reporting/html/format.mjs';

test('numbers are short, and say no more than they know', () => {
  assert.equal(thousands(6379786), '6,379,786');
  assert.equal(percent(99.4), '99.40');
  assert.equal(percent(null), '');
  assert.deepEqual([9.96, 42, 428, 7300].map(duration), ['10.0 s', '42 s', '7.1 min', '2.0 h']);
  assert.deepEqual([0.01234, 1.5, 9999, 964200, 6379786].map(compact), ['0.0123', '1.5', '10000', '964k', '6.38M']);
});

test('only certain values are 0 % and 100 %', () => {
  assert.deepEqual([0, 0.0004, 0.5, 0.99951, 1].map(share), ['0 %', '< 0.1 %', '50 %', '> 99.9 %', '100 %']);
});

test('words', () => {
  assert.deepEqual([counted(1, 'image'), counted(2000, 'image')], ['1 image', '2,000 images']);
  assert.deepEqual([listed(['a']), listed(['a', 'b']), listed(['a', 'b', 'c'])], ['a', 'a and b', 'a, b and c']);
});

test('numbers are rounded as in Python, with a real minus', () => {
  assert.deepEqual(
    [1.125, -1.125, 1.375, 2.675, 0.375, -1.13].map((value) => percent(value)),
    ['1.12', '−1.12', '1.38', '2.67', '0.38', '−1.13'],
  );
  assert.deepEqual(
    [99.41, 0, 100, 97.5].map((value) => percent(value)),
    ['99.41', '0.00', '100.00', '97.50'],
  );
  assert.deepEqual([1.125, -1.125, null].map(signed), ['+1.12', '−1.12', '']);
  assert.equal(compact(-2.771), '−2.77');
});
