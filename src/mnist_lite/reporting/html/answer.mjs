// The answer of the network: the digit, ten probabilities, the image that it was given, and which parts speak for a digit.

import { classMap } from './class_map.mjs';
import { digitCanvas, overlayCanvas } from './digit_image.mjs';
import { element, setText } from './dom.mjs';
import { share } from './format.mjs';
import { argmax, logitsOf, softmax } from './network.mjs';

const NO_ANSWER = '–';

/** `nodes`, `draw(pixels, steps)` and `clear()`. */
export function answerPanel(network) {
  const digit = element('span', { class: 'figure' }, NO_ANSWER);
  const spoken = element('p', { class: 'headline', role: 'status' }, 'Nothing is drawn yet.');
  const given = element('div', { class: 'given' });
  const looks = element('div', { class: 'looks' });
  const looksText = element('figcaption', {}, '');
  /** The digit that the class map is for. Null: the answer. */
  let chosen = null;
  let last = null;

  const rows = Array.from({ length: 10 }, (_, i) => probabilityRow(i, () => choose(i)));
  const head = ['Digit', 'Probability', ''].map((text) => element('th', { scope: 'col' }, text));
  const table = element(
    'table',
    { class: 'probabilities' },
    element('caption', { class: 'hidden' }, 'Probability of each digit'),
    element('thead', { class: 'hidden' }, element('tr', {}, ...head)),
    element('tbody', {}, ...rows.map((row) => row.node)),
  );
  const pictures = [element('figure', {}, given, element('figcaption', {}, 'The image that the network is given'))];
  if (network.class_maps) pictures.push(element('figure', {}, looks, looksText));

  function choose(i) {
    chosen = chosen === i ? null : i;
    drawLooks();
  }

  function drawLooks() {
    rows.forEach((row, i) => row.press(i === chosen));
    if (!last || !network.class_maps) return;
    const shown = chosen ?? last.answer;
    looks.replaceChildren(overlayCanvas(last.pixels, scaledMap(network, last.steps, shown), `What speaks for ${shown}`));
    looksText.textContent = `Where the network looks for ${shown}`;
  }

  return {
    nodes: [
      element('div', { class: 'reads' }, digit, spoken, table),
      element('div', { class: 'pictures' }, ...pictures, element('p', { class: 'hint' }, hint(network))),
    ],
    draw(pixels, steps) {
      const probabilities = softmax(logitsOf(steps));
      const answer = argmax(probabilities);
      last = { pixels, steps, answer };
      digit.textContent = answer < 0 ? NO_ANSWER : String(answer);
      setText(spoken, answer < 0 ? 'The logits are not numbers.' : `The network reads ${answer}.`);
      rows.forEach((row, i) => row.set(probabilities[i], i === answer));
      given.replaceChildren(digitCanvas(pixels, 'The image that the network is given, 28 by 28 pixels'));
      if (answer >= 0) drawLooks();
    },
    clear() {
      last = null;
      digit.textContent = NO_ANSWER;
      setText(spoken, 'Nothing is drawn yet.');
      rows.forEach((row) => row.set(null, false));
      given.replaceChildren(digitCanvas(new Uint8Array(784), 'An empty image'));
      looks.replaceChildren(digitCanvas(new Uint8Array(784), 'An empty image'));
      looksText.textContent = 'Where the network looks';
    },
  };
}

function probabilityRow(digit, press) {
  const button = element('button', { type: 'button', class: 'link', 'aria-pressed': 'false', onclick: press }, String(digit));
  const bar = element('span', { class: 'bar' });
  const text = element('td', { class: 'number' });
  const track = element('td', { 'aria-hidden': 'true' }, element('div', { class: 'track' }, bar));
  const node = element('tr', {}, element('th', { scope: 'row' }, button), text, track);
  return {
    node,
    press: (pressed) => button.setAttribute('aria-pressed', String(pressed)),
    /** `probability` is null if there is none. */
    set(probability, isAnswer) {
      bar.style.width = `${100 * (probability || 0)}%`;
      text.textContent = probability === null || Number.isNaN(probability) ? '' : share(probability);
      node.classList.toggle('first', isAnswer);
    },
  };
}

/** The class map in the form of `overlayCanvas`. */
function scaledMap(network, steps, digit) {
  const { rows, columns, values } = classMap(network, steps, digit);
  const { first, jump } = network.class_maps;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
  const scaled = values.map((value) => (127 * value) / largest);
  return { values: scaled, width: columns, height: rows, start: first - jump / 2, cell: jump };
}

function hint(network) {
  if (!network.class_maps) return 'This network has no maps that show where it looks.';
  const { layers, exact, field } = network.class_maps;
  const layer = network.layers.slice(0, layers).findLast((each) => each.kind !== 'identity');
  const press = 'Press a digit in the table to see what speaks for that digit. Press it again to follow the answer.';
  const kind = exact
    ? 'One colour speaks for the digit, the other one speaks against it. The mean of the map is the logit.'
    : `Grad-CAM of layer ${layer.number} (${layer.text}): the coloured parts speak for the digit. Each value sees ${field} × ${field} pixels.`;
  return `${kind} ${press}`;
}
