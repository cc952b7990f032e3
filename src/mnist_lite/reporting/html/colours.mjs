// Colours. Those of lines and maps are variables of the style sheet, so that each theme has its own.

const SERIES = 8;

/** The name of the variable of line `i`. */
export function seriesColour(i) {
  return `var(--series-${i % SERIES})`;
}

/** The dashes of line `i`: the colours repeat, so later lines are dashed. */
export function seriesDash(i) {
  return [[], [8, 4], [2, 3]][Math.min(2, Math.floor(i / SERIES))];
}

/** The value of a colour such as `var(--ink)`, for canvases. */
export function resolved(colour) {
  const name = /^var\((--[\w-]+)\)$/.exec(colour);
  return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : colour;
}

/** The red, green and blue of a colour such as #0072b2. */
export function channels(colour) {
  const number = parseInt(resolved(colour).slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}
