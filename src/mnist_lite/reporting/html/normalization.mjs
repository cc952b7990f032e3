// Norms, forward and backward. See convolution.mjs for the form of tensors and operations.
//
// After the training, batch norm is one scale and one shift per channel. Layer norm is group norm with one group, instance norm is
// group norm with one group per channel. Their means and variances are those of the image.

export const batchNorm = {
  forward(layer, x) {
    const size = x.data.length / x.shape[0];
    const data = x.data.map((value, i) => {
      const channel = Math.floor(i / size);
      return value * layer.weight[channel] + layer.bias[channel];
    });
    return { shape: x.shape, data };
  },
  backward(layer, x, gradient) {
    const size = x.data.length / x.shape[0];
    return { shape: x.shape, data: gradient.data.map((value, i) => value * layer.weight[Math.floor(i / size)]) };
  },
};

/** The mean of `values` and 1 / their standard deviation. */
function statistics(values, eps) {
  let mean = 0;
  for (const value of values) mean += value;
  mean /= values.length;
  let variance = 0;
  for (const value of values) variance += (value - mean) ** 2;
  return [mean, 1 / Math.sqrt(variance / values.length + eps)];
}

export const groupNorm = {
  forward(layer, x) {
    const size = x.data.length / x.shape[0];
    const groupSize = x.data.length / layer.groups;
    const data = new Float32Array(x.data.length);
    for (let start = 0; start < data.length; start += groupSize) {
      const [mean, scale] = statistics(x.data.subarray(start, start + groupSize), layer.eps);
      for (let i = start; i < start + groupSize; i++) {
        const channel = Math.floor(i / size);
        const normalised = (x.data[i] - mean) * scale;
        data[i] = layer.weight ? normalised * layer.weight[channel] + layer.bias[channel] : normalised;
      }
    }
    return { shape: x.shape, data };
  },
  backward(layer, x, gradient) {
    const size = x.data.length / x.shape[0];
    const groupSize = x.data.length / layer.groups;
    const data = new Float32Array(x.data.length);
    for (let start = 0; start < data.length; start += groupSize) {
      const [mean, scale] = statistics(x.data.subarray(start, start + groupSize), layer.eps);
      const given = (i) => gradient.data[i] * (layer.weight ? layer.weight[Math.floor(i / size)] : 1);
      let sum = 0;
      let weighted = 0;
      for (let i = start; i < start + groupSize; i++) {
        sum += given(i);
        weighted += given(i) * (x.data[i] - mean) * scale;
      }
      for (let i = start; i < start + groupSize; i++) {
        data[i] = scale * (given(i) - (sum + weighted * (x.data[i] - mean) * scale) / groupSize);
      }
    }
    return { shape: x.shape, data };
  },
};
