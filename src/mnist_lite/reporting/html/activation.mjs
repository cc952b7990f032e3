// Activation functions, forward and backward. See convolution.mjs for the form of tensors and operations.

/** The operation of a function of one number and its derivative. */
function elementwise(f, derivative) {
  return {
    forward: (layer, x) => ({ shape: x.shape, data: x.data.map((value) => f(value, layer)) }),
    backward: (layer, x, gradient) => ({
      shape: x.shape,
      data: gradient.data.map((value, i) => value * derivative(x.data[i], layer)),
    }),
  };
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x))); // torch's threshold
const tanhSlope = (x) => 1 - Math.tanh(x) ** 2;

/** The error function. The error is below 1.5e-7. Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26. */
export function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const polynomial = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - polynomial * Math.exp(-x * x));
}
const normal = (x) => (1 + erf(x / Math.SQRT2)) / 2; // the distribution function
const normalDensity = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

export const activations = {
  identity: { forward: (_layer, x) => x, backward: (_layer, _x, gradient) => gradient },
  relu: elementwise(
    (x) => Math.max(x, 0),
    (x) => (x > 0 ? 1 : 0),
  ),
  relu6: elementwise(
    (x) => Math.min(Math.max(x, 0), 6),
    (x) => (x > 0 && x < 6 ? 1 : 0),
  ),
  leaky_relu: elementwise(
    (x, { negative_slope: slope }) => (x > 0 ? x : slope * x),
    (x, { negative_slope: slope }) => (x > 0 ? 1 : slope),
  ),
  elu: elementwise(
    (x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x)),
    (x, { alpha }) => (x > 0 ? 1 : alpha * Math.exp(x)),
  ),
  gelu: elementwise(
    (x) => x * normal(x),
    (x) => normal(x) + x * normalDensity(x),
  ),
  silu: elementwise(
    (x) => x * sigmoid(x),
    (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
  ),
  mish: elementwise(
    (x) => x * Math.tanh(softplus(x)),
    (x) => Math.tanh(softplus(x)) + x * tanhSlope(softplus(x)) * sigmoid(x),
  ),
  hardswish: elementwise(
    (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
    (x) => (x < -3 ? 0 : x <= 3 ? x / 3 + 0.5 : 1),
  ),
  softplus: elementwise(softplus, (x) => (x > 20 ? 1 : sigmoid(x))),
  tanh: elementwise(Math.tanh, tanhSlope),
  sigmoid: elementwise(sigmoid, (x) => sigmoid(x) * (1 - sigmoid(x))),
  prelu: {
    forward: (layer, x) => slopePerChannel(layer, x, x),
    backward: (layer, x, gradient) => slopePerChannel(layer, x, gradient),
  },
};

/** `values`, times the slope of the channel where `x` is negative. */
function slopePerChannel(layer, x, values) {
  const size = x.data.length / x.shape[0];
  const slope = (i) => (x.data[i] > 0 ? 1 : layer.weight[Math.floor(i / size)]);
  return { shape: x.shape, data: values.data.map((value, i) => value * slope(i)) };
}
