// The confusion matrix. A click on a cell shows its images.

import { digitCanvas } from './digit_image.mjs';
import { element, howTo, scrollable, section } from './dom.mjs';
import { counted, percent, share, thousands } from './format.mjs';

const MAX_SHOWN = 100;
const DIGITS = [...Array(10).keys()];

export function confusionSection(tested, images) {
  const right = `${percent(tested.accuracy)} % of ${tested.measured_on} are on the diagonal.`;
  const lead = [`Each row is a digit, each column an answer of the network: ${right}`, howTo('Click a cell to see its images.')];
  const panel = element('div', { class: 'cell-images', 'aria-live': 'polite' });
  const show = (digit, answer) => showCell(panel, tested, images, digit, answer);
  const worst = mostConfused(tested.confusion);
  const matrix = grid(tested, show, worst);
  if (worst) show(...worst);
  else panel.append(element('p', {}, 'There is no mistake.'));
  return section('confusion', 'Confusion', lead, element('div', { class: 'side-by-side' }, matrix, panel), classTable(tested));
}

/** The digit and the wrong answer with the most images. Null: there is no mistake. */
export function mostConfused(confusion) {
  let best = null;
  for (const digit of DIGITS) {
    for (const answer of DIGITS) {
      const count = confusion[digit][answer];
      if (digit !== answer && count > (best ? confusion[best[0]][best[1]] : 0)) best = [digit, answer];
    }
  }
  return best;
}

/** The places in the page of the images of a cell: those with the highest probability first. */
export function imagesOfCell(tested, labels, digit, answer) {
  const places = labels.flatMap((label, i) => (label === digit && tested.predictions[i] === answer ? [i] : []));
  return places.sort((a, b) => tested.confidence[b] - tested.confidence[a]);
}

function grid(tested, show, chosen) {
  const most = Math.max(
    1,
    ...DIGITS.map((digit) => Math.max(...tested.confusion[digit].map((count, answer) => (answer === digit ? 0 : count)))),
  );
  const heads = DIGITS.map((digit) => element('th', { scope: 'col' }, String(digit)));
  let pressed = null;
  const press = (button, digit, answer) => {
    pressed?.setAttribute('aria-pressed', 'false');
    pressed = button;
    button.setAttribute('aria-pressed', 'true');
    show(digit, answer);
  };
  const cell = (digit, answer) => {
    const count = tested.confusion[digit][answer];
    if (!count) return element('td', {}, element('span', { class: 'none' }, '·'));
    const button = element(
      'button',
      { type: 'button', 'aria-pressed': 'false', 'aria-label': `${counted(count, 'image')} of ${digit} taken for ${answer}` },
      thousands(count),
    );
    button.addEventListener('click', () => press(button, digit, answer));
    if (digit !== answer) {
      button.style.setProperty('--strength', `${Math.round(10 + (40 * count) / most)}%`);
    }
    if (chosen && digit === chosen[0] && answer === chosen[1]) {
      pressed = button;
      button.setAttribute('aria-pressed', 'true');
    }
    return element('td', { class: digit === answer ? 'right' : 'wrong' }, button);
  };
  const rows = DIGITS.map((digit) =>
    element('tr', {}, element('th', { scope: 'row' }, String(digit)), ...DIGITS.map((answer) => cell(digit, answer))),
  );
  const corner = element('td', { class: 'corner' }, 'digit ↓ answer →');
  const caption = element('caption', { class: 'hidden' }, 'Confusion matrix');
  return scrollable(
    'Confusion matrix',
    element(
      'table',
      { class: 'confusion' },
      caption,
      element('thead', {}, element('tr', {}, corner, ...heads)),
      element('tbody', {}, ...rows),
    ),
  );
}

function showCell(panel, tested, images, digit, answer) {
  const places = imagesOfCell(tested, images.labels, digit, answer);
  const count = tested.confusion[digit][answer];
  const what = digit === answer ? `${digit} recognised` : `${digit} taken for ${answer}`;
  const shown = places.slice(0, MAX_SHOWN);
  const cut =
    shown.length < count
      ? `The page shows ${thousands(shown.length)} of ${counted(count, 'image')}.`
      : `${counted(count, 'image')}.`;
  const figures = shown.map((i) =>
    element(
      'figure',
      {},
      digitCanvas(images.pixels(i), `Test image ${images.index[i]}, a ${digit}`),
      element('figcaption', {}, share(tested.confidence[i])),
    ),
  );
  panel.replaceChildren(
    element('h3', {}, what),
    element(
      'p',
      { class: 'hint' },
      `${cut} Below each image: the probability that the network gave to its answer. The highest comes first.`,
    ),
    element('div', { class: 'thumbnails', tabindex: '0', role: 'group', 'aria-label': 'Images of the cell' }, ...figures),
  );
}

function classTable(tested) {
  const heads = ['Digit', 'Images', 'Precision, %', 'Recall, %', 'F1, %'].map((title) =>
    element('th', { scope: 'col', class: 'number' }, title),
  );
  const rows = tested.classes.map((each) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row', class: 'number' }, String(each.digit)),
      ...[thousands(each.images), percent(each.precision), percent(each.recall), percent(each.f1)].map((text) =>
        element('td', { class: 'number' }, text),
      ),
    ),
  );
  const caption = element('caption', { class: 'hidden' }, 'Figures of each digit');
  const made = element('table', {}, caption, element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...rows));
  return element('details', {}, element('summary', {}, 'The figures of each digit'), scrollable('Figures of each digit', made));
}
