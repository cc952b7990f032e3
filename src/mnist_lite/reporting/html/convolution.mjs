// Convolutions and linear layers, forward and backward.
//
// A tensor is {shape, data}: `shape` is [C, H, W], or [C] after flatten; `data` is a Float32Array. Each operation is an object with
// two functions: `forward(layer, x)` gives the output, `backward(layer, x, gradient)` gives the gradient of the input from the
// gradient of the output. Sums are in 64 bits.

/** The side of the output of a convolution or a pool. */
export function outputSide(side, layer) {
  const reach = (layer.dilation ?? 1) * (layer.kernel - 1) + 1;
  return Math.floor((side + 2 * layer.padding - reach) / layer.stride) + 1;
}

/** `x` with `padding` zeros on each side of its maps. */
function padded(x, padding) {
  const [channels, height, width] = x.shape;
  if (padding === 0) return x;
  const shape = [channels, height + 2 * padding, width + 2 * padding];
  const data = new Float32Array(shape[0] * shape[1] * shape[2]);
  for (let row = 0; row < channels * height; row++) {
    const channel = Math.floor(row / height);
    const start = (channel * shape[1] + (row % height) + padding) * shape[2] + padding;
    data.set(x.data.subarray(row * width, (row + 1) * width), start);
  }
  return { shape, data };
}

/**
 * Calls `visit(weight, output channel, input channel, first)` for each number of a convolution's weight. `first` is the place in a
 * padded input map that belongs to the first value of the output map.
 */
function eachWeight(layer, inputs, inputWidth, visit) {
  const { kernel, dilation, groups, out, weight } = layer;
  const perGroup = inputs / groups;
  let i = 0;
  for (let o = 0; o < out; o++) {
    const firstInput = Math.floor((o * groups) / out) * perGroup;
    for (let c = firstInput; c < firstInput + perGroup; c++) {
      for (let y = 0; y < kernel; y++) {
        for (let x = 0; x < kernel; x++) visit(weight[i++], o, c, dilation * (y * inputWidth + x));
      }
    }
  }
}

function addScaled(weight, input, output, start, inputWidth, side, width, stride) {
  let p = 0;
  for (let y = 0; y < side; y++) {
    let q = start + y * stride * inputWidth;
    for (let x = 0; x < width; x++, q += stride) output[p++] += weight * input[q];
  }
}

function addScaledBack(weight, gradient, output, start, inputWidth, side, width, stride) {
  let p = 0;
  for (let y = 0; y < side; y++) {
    let q = start + y * stride * inputWidth;
    for (let x = 0; x < width; x++, q += stride) output[q] += weight * gradient[p++];
  }
}

export const conv = {
  forward(layer, x) {
    const [channels, height, width] = x.shape;
    const input = padded(x, layer.padding);
    const [, inputHeight, inputWidth] = input.shape;
    const shape = [layer.out, outputSide(height, layer), outputSide(width, layer)];
    const size = shape[1] * shape[2];
    const data = new Float32Array(layer.out * size);
    const sums = new Float64Array(size);
    let current = 0;
    sums.fill(layer.bias ? layer.bias[0] : 0);
    eachWeight(layer, channels, inputWidth, (weight, o, c, first) => {
      if (o !== current) {
        data.set(sums, current * size);
        sums.fill(layer.bias ? layer.bias[o] : 0);
        current = o;
      }
      addScaled(weight, input.data, sums, c * inputHeight * inputWidth + first, inputWidth, shape[1], shape[2], layer.stride);
    });
    data.set(sums, current * size);
    return { shape, data };
  },

  backward(layer, x, gradient) {
    const [channels, height, width] = x.shape;
    const { padding } = layer;
    const [inputHeight, inputWidth] = [height + 2 * padding, width + 2 * padding];
    const [, side, outputWidth] = gradient.shape;
    const sums = new Float64Array(channels * inputHeight * inputWidth);
    eachWeight(layer, channels, inputWidth, (weight, o, c, first) => {
      const given = gradient.data.subarray(o * side * outputWidth, (o + 1) * side * outputWidth);
      addScaledBack(weight, given, sums, c * inputHeight * inputWidth + first, inputWidth, side, outputWidth, layer.stride);
    });
    const data = new Float32Array(channels * height * width);
    for (let row = 0; row < channels * height; row++) {
      const start = (Math.floor(row / height) * inputHeight + (row % height) + padding) * inputWidth + padding;
      data.set(sums.subarray(start, start + width), row * width);
    }
    return { shape: x.shape, data };
  },
};

export const linear = {
  forward(layer, x) {
    const inputs = x.data.length;
    const data = Float32Array.from({ length: layer.out }, (_, o) => {
      let sum = layer.bias ? layer.bias[o] : 0;
      for (let i = 0; i < inputs; i++) sum += layer.weight[o * inputs + i] * x.data[i];
      return sum;
    });
    return { shape: [layer.out], data };
  },

  backward(layer, x, gradient) {
    const inputs = x.data.length;
    const data = Float32Array.from({ length: inputs }, (_, i) => {
      let sum = 0;
      for (let o = 0; o < layer.out; o++) sum += layer.weight[o * inputs + i] * gradient.data[o];
      return sum;
    });
    return { shape: x.shape, data };
  },
};
