// The lines of the curves: smoothed, and averaged over seeds.

/** Where each metric comes from. `kind`: evaluations or training steps. `exact`: it is never smoothed. */
export const METRICS = {
  accuracy: {
    title: 'Accuracy',
    unit: '%',
    lines: [
      { name: 'test', kind: 'evaluations', key: 'test/accuracy' },
      { name: 'holdout', kind: 'evaluations', key: 'holdout/accuracy' },
      { name: 'train', kind: 'evaluations', key: 'train/epoch_accuracy' },
    ],
  },
  error: {
    title: 'Error',
    unit: '% wrong',
    log: true,
    lines: [
      { name: 'test', kind: 'evaluations', key: 'test/accuracy', error: true },
      { name: 'holdout', kind: 'evaluations', key: 'holdout/accuracy', error: true },
      { name: 'train', kind: 'evaluations', key: 'train/epoch_accuracy', error: true },
    ],
  },
  loss: {
    title: 'Loss',
    unit: 'nats',
    log: true,
    meaning:
      'The loss is the mean of −ln(the probability of the right digit). Its unit is the nat: 0 is perfect, and 2.30 is a guess among ten digits.',
    lines: [
      { name: 'test', kind: 'evaluations', key: 'test/loss' },
      { name: 'holdout', kind: 'evaluations', key: 'holdout/loss' },
      { name: 'train', kind: 'evaluations', key: 'train/epoch_loss' },
      { name: 'training steps', kind: 'steps', key: 'train/loss' },
    ],
  },
  lr: { title: 'Learning rate', unit: '', lines: [{ name: 'learning rate', kind: 'steps', key: 'lr', exact: true }] },
};

/** The metrics that a run of `curves` has. */
export function recordedMetrics(curves) {
  const has = (line) => curves.some((run) => run[line.kind][line.key]?.length);
  return Object.keys(METRICS).filter((metric) => METRICS[metric].lines.some(has));
}

/**
 * An exponential moving average. `amount` is in 0..0.99, and 0 changes nothing. The start is corrected, so that it does not lean
 * to zero: each value is a weighted mean of the values so far.
 */
export function smoothed(values, amount) {
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return null;
    sum = amount * sum + (1 - amount) * value;
    weight = amount * weight + (1 - amount);
    return sum / weight;
  });
}

/**
 * One line of a group of runs that differ in their seed: {x, mean, low, high}. At each step that all runs have, it is the mean, the
 * lowest and the highest value of the runs. `axis`: step, epoch or seconds. Null: no run has the metric.
 */
export function groupLine(runs, line, axis, amount) {
  const columns = runs.map((run) => run[line.kind]).filter((column) => column[line.key]);
  if (!columns.length) return null;
  const values = columns.map((column) => smoothed(column[line.key], amount).map((value) => shown(value, line)));
  const places = columns.map((column) => new Map(column.step.map((step, i) => [step, i])));
  const steps = columns[0].step.filter((step) => places.every((place) => place.has(step)));
  const made = { x: [], mean: [], low: [], high: [] };
  for (const step of steps) {
    const at = places.map((place) => place.get(step));
    const known = at.map((i, run) => values[run][i]).filter((value) => value !== null);
    if (known.length < columns.length) continue;
    made.x.push(mean(at.map((i, run) => columns[run][axis][i])));
    made.mean.push(mean(known));
    made.low.push(Math.min(...known));
    made.high.push(Math.max(...known));
  }
  return made;
}

/** Accuracy as error. A logarithm has no place for an error of 0. */
function shown(value, line) {
  if (value === null || !line.error) return value;
  return value >= 100 ? null : 100 - value;
}

function mean(values) {
  return values.reduce((a, b) => a + b) / values.length;
}

/** The place in sorted `x` that is nearest to `value`. */
export function nearest(x, value) {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (Math.abs(x[i] - value) < Math.abs(x[best] - value)) best = i;
  return best;
}
