// Numbers as texts.

/** 7838 as 7,838. */
export function thousands(value) {
  return Math.round(value).toLocaleString('en-US');
}

/** 99.41. An absent value is an empty text. */
export function percent(value, digits = 2) {
  return value === null || value === undefined ? '' : withMinus(evenRounded(value, digits));
}

/** +0.25 or −1.12, rounded as in the text of `mnist-lite train`. */
export function signed(value) {
  return value === null ? '' : `${value < 0 ? '' : '+'}${percent(value)}`;
}

/** A value in the middle between two texts becomes the one with an even digit, as in Python. JavaScript takes the larger one. */
function evenRounded(value, digits) {
  const exact = value.toFixed(digits + 60);
  const [kept, rest] = [exact.slice(0, -60), exact.slice(-60)];
  return /^50*$/.test(rest) && Number(kept.at(-1)) % 2 === 0 ? kept : value.toFixed(digits);
}

function withMinus(text) {
  return text.replace('-', '−');
}

/** 4.2 min. */
export function duration(seconds) {
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 6000 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** A number with at most three digits that count: 0.0123, 1.5, 964k, 6.38M. */
export function compact(value) {
  if (Math.abs(value) >= 1e6) return withMinus(`${Number((value / 1e6).toPrecision(3))}M`);
  if (Math.abs(value) >= 1e4) return withMinus(`${Number((value / 1e3).toPrecision(3))}k`);
  return withMinus(String(Number(value.toPrecision(3))));
}

/** 0.93 as 93 %. Only certain values are 0 % and 100 %. */
export function share(value) {
  const rounded = 100 * value;
  if (rounded > 99.9 && value < 1) return '> 99.9 %';
  if (rounded < 0.1 && value > 0) return '< 0.1 %';
  return `${Number(rounded.toFixed(1))} %`;
}

/** 1 image, 2 images. */
export function counted(count, word) {
  return `${thousands(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** a, b and c. */
export function listed(texts) {
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`;
}
