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

/**
 * For each position of the output, the places in the input that its kernel reads, channel by channel. A place in the padding is -1.
 */
function kernelPlaces(layer, [channels, height, width]) {
  const { kernel, stride, padding, dilation } = layer;
  const [rows, columns] = [outputSide(height, layer), outputSide(width, layer)];
  const places = new Int32Array(rows * columns * channels * kernel * kernel);
  let i = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let c = 0; c < channels; c++) {
        for (let ky = 0; ky < kernel; ky++) {
          const y = row * stride - padding + ky * dilation;
          for (let kx = 0; kx < kernel; kx++) {
            const x = column * stride - padding + kx * dilation;
            places[i++] = y >= 0 && y < height && x >= 0 && x < width ? (c * height + y) * width + x : -1;
          }
        }
      }
    }
  }
  return places;
}

/** The values of `x` at these places. In the padding, they are 0. */
function patchesOf(layer, x) {
  const places = kernelPlaces(layer, x.shape);
  const values = new Float32Array(places.length);
  for (let i = 0; i < places.length; i++) values[i] = places[i] < 0 ? 0 : x.data[places[i]];
  return values;
}

export const conv = {
  forward(layer, x) {
    const shape = [layer.out, outputSide(x.shape[1], layer), outputSide(x.shape[2], layer)];
    const size = shape[1] * shape[2];
    const patches = patchesOf(layer, x);
    const all = patches.length / size; // values that the kernels of all groups read at a position
    const [count, outs] = [all / layer.groups, layer.out / layer.groups];
    const [weight, bias] = [layer.weight, layer.bias ?? new Float32Array(layer.out)];
    const data = new Float32Array(layer.out * size);
    // Two channels at two positions at a time: each number that is read is used twice. This is twice as fast.
    for (let group = 0; group < layer.groups; group++) {
      for (let o = group * outs; o < (group + 1) * outs; o += 2) {
        const nextO = Math.min(o + 1, (group + 1) * outs - 1);
        for (let p = 0; p < size; p += 2) {
          const nextP = Math.min(p + 1, size - 1);
          let [i, nextI, j, nextJ] = [o * count, nextO * count, p * all + group * count, nextP * all + group * count];
          let [a, b, c, d] = [bias[o], bias[o], bias[nextO], bias[nextO]];
          for (const end = i + count; i < end; i++, nextI++, j++, nextJ++) {
            a += weight[i] * patches[j];
            b += weight[i] * patches[nextJ];
            c += weight[nextI] * patches[j];
            d += weight[nextI] * patches[nextJ];
          }
          data[o * size + p] = a;
          data[o * size + nextP] = b;
          data[nextO * size + p] = c;
          data[nextO * size + nextP] = d;
        }
      }
    }
    return { shape, data };
  },

  backward(layer, x, gradient) {
    const places = kernelPlaces(layer, x.shape);
    const all = x.shape[0] * layer.kernel ** 2;
    const count = all / layer.groups;
    const size = places.length / all;
    const sums = new Float64Array(x.data.length);
    const patch = new Float64Array(all);
    for (let p = 0; p < size; p++) {
      patch.fill(0);
      for (let o = 0; o < layer.out; o++) {
        const first = Math.floor((o * layer.groups) / layer.out) * count;
        const given = gradient.data[o * size + p];
        for (let k = 0; k < count; k++) patch[first + k] += layer.weight[o * count + k] * given;
      }
      for (let k = 0; k < all; k++) if (places[p * all + k] >= 0) sums[places[p * all + k]] += patch[k];
    }
    return { shape: x.shape, data: Float32Array.from(sums) };
  },
};

export const linear = {
  forward(layer, x) {
    const inputs = x.data.length;
    const data = new Float32Array(layer.out);
    for (let o = 0; o < layer.out; o++) {
      let sum = layer.bias ? layer.bias[o] : 0;
      for (let i = 0; i < inputs; i++) sum += layer.weight[o * inputs + i] * x.data[i];
      data[o] = sum;
    }
    return { shape: [layer.out], data };
  },

  backward(layer, x, gradient) {
    const inputs = x.data.length;
    const sums = new Float64Array(inputs);
    for (let o = 0; o < layer.out; o++) {
      for (let i = 0; i < inputs; i++) sums[i] += layer.weight[o * inputs + i] * gradient.data[o];
    }
    return { shape: x.shape, data: Float32Array.from(sums) };
  },
};
