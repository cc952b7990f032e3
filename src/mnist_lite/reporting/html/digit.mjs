// Turns a drawing into an image like those of MNIST: 28 x 28 pixels, ink is 255, paper is 0.
//
// This is `mnist_lite/insight/as_mnist.py` for a drawing whose paper is known. The results are the same. MNIST's digits were scaled
// to fit into 20 x 20 pixels and were placed with their centre of mass in the middle.

const MNIST_SIDE = 28;
const BOX = 20;
const CENTRE = 14;
const LEAST_CONTRAST = 12 / 255;

/**
 * The drawing as MNIST has it: 784 values. Null: nothing is drawn.
 *
 * @param {{width: number, height: number, data: Uint8Array}} drawing - Ink 0..255, row by row. The edge has no ink.
 */
export function asMnist(drawing) {
  const ink = withoutSpecks(drawing);
  return ink && centred(inBox(ink));
}

/** The amount of ink, 0..1, without specks. Null: there is no ink. */
function withoutSpecks(drawing) {
  const drawn = cropped(drawing, 0, 1);
  if (!drawn) return null;
  const contrast = Float64Array.from(drawn.data, (value) => value / 255);
  const largest = largestOf(contrast);
  if (largest <= LEAST_CONTRAST) return null;
  const { parts, count } = connectedParts(contrast, drawn.width);
  const threshold = otsu(contrast, largest, drawing.width * drawing.height - contrast.length);
  const areas = new Float64Array(count + 1);
  for (let i = 0; i < parts.length; i++) if (contrast[i] > threshold) areas[parts[i]]++;
  areas[0] = 0;
  const least = 0.05 * largestOf(areas);
  for (let i = 0; i < parts.length; i++) if (!(areas[parts[i]] > least)) contrast[i] = 0;
  const full = largestOf(contrast);
  for (let i = 0; i < parts.length; i++) contrast[i] = Math.min(contrast[i] / full, 1);
  return { ...drawn, data: contrast };
}

function largestOf(values) {
  let largest = values[0];
  for (let i = 1; i < values.length; i++) if (values[i] > largest) largest = values[i];
  return largest;
}

/** Numbers the parts of the ink that are connected, corners too, from 1. Paper is 0. */
function connectedParts(ink, width) {
  const parts = new Int32Array(ink.length);
  const neighbours = [-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1];
  let count = 0;
  for (let start = 0; start < ink.length; start++) {
    if (!(ink[start] > 0) || parts[start]) continue;
    parts[start] = ++count;
    const open = [start];
    while (open.length) {
      const place = open.pop();
      for (const step of neighbours) {
        const next = place + step; // the edge has no ink, so this is never the other side
        if (ink[next] > 0 && !parts[next]) {
          parts[next] = count;
          open.push(next);
        }
      }
    }
  }
  return { parts, count };
}

/**
 * Otsu's threshold: it splits values, which are 0 or more, into two classes with the largest variance between them. The values are
 * `values`, and `zeros` more that are 0.
 */
function otsu(values, largest, zeros) {
  const counts = new Float64Array(256);
  counts[0] = zeros;
  for (let i = 0; i < values.length; i++) counts[Math.floor(Math.min(256 * (values[i] / largest), 255))]++;
  const centres = Array.from(counts, (_, i) => ((i + 0.5) / 256) * largest);
  const total = values.length + zeros;
  const all = counts.reduce((sum, count, i) => sum + count * centres[i], 0);
  let [best, bestVariance, below, sum] = [0, -1, 0, 0];
  for (let i = 0; i < 255; i++) {
    below += counts[i];
    sum += counts[i] * centres[i];
    const variance = ((all * below) / total - sum) ** 2 / (below * (total - below));
    if (variance > bestVariance) [best, bestVariance] = [i, variance];
  }
  return centres[best];
}

/** The digit alone, scaled so that its longer side is 20 pixels. */
function inBox(ink) {
  let digit = cropped(ink, 0, 0);
  if (Math.max(digit.width, digit.height) > BOX) digit = cropped(ink, 0.5, 0); // without the soft edge of a large digit
  const longer = Math.max(digit.width, digit.height);
  const [width, height] = [digit.width, digit.height].map((side) => Math.max(1, rounded((side * BOX) / longer)));
  const scaled = resampled(digit, width, height);
  const full = largestOf(scaled);
  return { width, height, data: scaled.map((value) => value / full) };
}

/** The part of `image` that has values above `least`, with a margin. Null: there is none. */
function cropped({ width, height, data }, least, margin) {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!(data[y * width + x] > least)) continue;
      if (y < top) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  if (bottom < 0) return null;
  [top, left, bottom, right] = [top - margin, left - margin, bottom + margin, right + margin];
  const cut = { width: right - left + 1, height: bottom - top + 1 };
  cut.data = new data.constructor(cut.width * cut.height);
  for (let y = 0; y < cut.height; y++) {
    const start = (y + top) * width + left;
    cut.data.set(data.subarray(start, start + cut.width), y * cut.width);
  }
  return cut;
}

/** `image` in `width` x `height` pixels. */
export function resampled(image, width, height) {
  const columns = resampling(image.width, width);
  const rows = resampling(image.height, height);
  const narrow = new Float64Array(width * image.height);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [old, weight] of columns[x]) narrow[y * width + x] += weight * image.data[y * image.width + old];
    }
  }
  const result = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    for (const [old, weight] of rows[y]) {
      for (let x = 0; x < width; x++) result[y * width + x] += weight * narrow[old * width + x];
    }
  }
  return result;
}

/**
 * For each new pixel, the old pixels that it is made of, with their weights. Their sum is 1. To fewer pixels, a weight is the part of
 * the new pixel that the old one covers. To more pixels, it is linear interpolation.
 */
function resampling(size, count) {
  const width = size / count;
  return Array.from({ length: count }, (_, i) => {
    const centre = (i + 0.5) * width;
    const weights = [];
    for (let old = Math.max(0, Math.floor(centre - width / 2) - 1); old < Math.min(size, centre + width / 2 + 1); old++) {
      const overlap = Math.min(old + 1, centre + width / 2) - Math.max(old, centre - width / 2);
      const distance = Math.abs(Math.min(Math.max(centre - 0.5, 0), size - 1) - old);
      const weight = count < size ? overlap / width : 1 - distance;
      if (weight > 0) weights.push([old, weight]);
    }
    return weights;
  });
}

/** The nearest integer. A half is rounded up, in spite of small errors. */
function rounded(value) {
  return Math.floor(value + 0.5 + 1e-6);
}

/** The digit in 28 x 28 pixels, with its centre of mass in the middle. */
function centred({ width, height, data }) {
  let [total, rows, columns] = [0, 0, 0];
  data.forEach((ink, i) => {
    total += ink;
    rows += ink * Math.floor(i / width);
    columns += ink * (i % width);
  });
  const top = CENTRE - rounded(rows / total);
  const left = CENTRE - rounded(columns / total);
  const image = new Uint8Array(MNIST_SIDE ** 2);
  for (let y = Math.max(0, -top); y < Math.min(height, MNIST_SIDE - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(width, MNIST_SIDE - left); x++) {
      image[(y + top) * MNIST_SIDE + x + left] = Math.floor(255 * data[y * width + x] + 0.5);
    }
  }
  return image;
}
