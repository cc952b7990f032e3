// A gallery of mistakes, the worst first. Class maps show which parts of the image spoke for the digit and for the answer.

import { digitCanvas, overlayCanvas } from './digit_image.mjs';
import { element, section } from './dom.mjs';
import { counted, share, thousands } from './format.mjs';
import { bytesOf } from './network.mjs';

const FIRST = 12;

export function mistakesSection(tested, images) {
  if (!tested.mistakes.length) return section('mistakes', 'Mistakes', `The network makes no mistake on ${tested.measured_on}.`);
  const maps = mapsOf(tested);
  const gallery = element('div', { class: 'gallery' });
  const more = element('button', { type: 'button' });
  let shown = 0;
  const show = (count) => {
    const next = tested.mistakes.slice(shown, count);
    gallery.append(...next.map((mistake, i) => card(mistake, shown + i, images, maps)));
    shown += next.length;
    more.hidden = shown >= tested.mistakes.length;
    more.textContent = `Show all ${thousands(tested.mistakes.length)}`;
  };
  more.addEventListener('click', () => {
    const first = shown;
    show(tested.mistakes.length);
    gallery.children[first].setAttribute('tabindex', '-1');
    gallery.children[first].focus();
  });
  show(FIRST);
  return section('mistakes', 'Mistakes', lead(tested, maps), gallery, element('p', {}, more));
}

function lead(tested, maps) {
  const first = `${counted(tested.mistakes_in_all, 'mistake')} on ${tested.measured_on}. The worst come first: those where the network gave the digit the lowest probability.`;
  if (!maps) return first;
  const kind = tested.maps.exact
    ? 'Class maps: orange speaks for the class, blue against it, and the mean of the map is the logit.'
    : 'Class maps by Grad-CAM: orange parts speak for the class.';
  return `${first} ${kind}`;
}

/** The class maps of mistake `i`: of the digit, and of the answer. */
export function mapsOf(tested) {
  if (!tested.maps) return null;
  const { width, height, start, cell } = tested.maps;
  const bytes = bytesOf(tested.maps.values);
  const values = new Int8Array(bytes.buffer);
  const size = width * height;
  return {
    count: values.length / (2 * size),
    of: (i, which) => ({
      width,
      height,
      start,
      cell,
      values: values.subarray((2 * i + which) * size, (2 * i + which + 1) * size),
    }),
  };
}

function card(mistake, i, images, maps) {
  const pixels = images.pixels(mistake.image);
  const number = images.index[mistake.image];
  const { true: digit, predicted } = mistake;
  const pictures = [[digitCanvas(pixels, `Test image ${number}, a ${digit}`), `image ${number}`]];
  if (maps && i < maps.count) {
    pictures.push([
      overlayCanvas(pixels, maps.of(i, 0), `What speaks for ${digit}`),
      `for ${digit}: ${share(mistake.true_confidence)}`,
    ]);
    pictures.push([
      overlayCanvas(pixels, maps.of(i, 1), `What speaks for ${predicted}`),
      `for ${predicted}: ${share(mistake.predicted_confidence)}`,
    ]);
  }
  const title = element('h3', {}, String(digit), element('span', { class: 'taken' }, ' taken for '), String(predicted));
  const figures = pictures.map(([canvas, text]) => element('figure', {}, canvas, element('figcaption', {}, text)));
  return element(
    'article',
    { class: 'mistake', 'aria-label': `Test image ${number}: ${digit} taken for ${predicted}` },
    title,
    element('div', { class: 'triple' }, ...figures),
  );
}
