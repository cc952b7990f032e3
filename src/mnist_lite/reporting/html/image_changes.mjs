// Changes of a 28 x 28 image: turned, shifted, with noise.

const IMAGE_SIDE = 28;

/** No change. */
export const NO_CHANGES = { angle: 0, right: 0, down: 0, noise: 0 };

/**
 * The image after `changes`: turned clockwise by `angle` degrees around its middle, then shifted by pixels, then with normal noise,
 * whose standard deviation `noise` is a part of 255. The noise is always the same, so that only the amount changes.
 */
export function changedImage(pixels, changes) {
  const moved = changes.angle || changes.right || changes.down ? movedImage(pixels, changes) : Array.from(pixels);
  const random = randomNumbers(1);
  return Uint8Array.from(moved, (value) => {
    const noise = changes.noise ? 255 * changes.noise * normalNumber(random) : 0;
    return Math.floor(Math.min(Math.max(value + noise, 0), 255) + 0.5);
  });
}

/** Each new pixel comes from a place between four old pixels: bilinear interpolation. Outside of the image is paper. */
function movedImage(pixels, { angle, right, down }) {
  const [sin, cos] = [Math.sin((angle * Math.PI) / 180), Math.cos((angle * Math.PI) / 180)];
  const middle = (IMAGE_SIDE - 1) / 2;
  const at = (y, x) => (y >= 0 && y < IMAGE_SIDE && x >= 0 && x < IMAGE_SIDE ? pixels[y * IMAGE_SIDE + x] : 0);
  return Array.from({ length: IMAGE_SIDE ** 2 }, (_, i) => {
    const dx = (i % IMAGE_SIDE) - right - middle;
    const dy = Math.floor(i / IMAGE_SIDE) - down - middle;
    const [x, y] = [middle + cos * dx + sin * dy, middle - sin * dx + cos * dy];
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [u, v] = [x - left, y - top];
    const upper = (1 - u) * at(top, left) + u * at(top, left + 1);
    const lower = (1 - u) * at(top + 1, left) + u * at(top + 1, left + 1);
    return (1 - v) * upper + v * lower;
  });
}

/** A function that gives random numbers in 0..1, the same ones for the same `seed`. Source: the generator Mulberry32. */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A number from the standard normal distribution (Box and Muller). */
function normalNumber(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
