// The canvas: the reader draws a digit, or changes a test image, and sees the network's answer at once.

import { answerPanel } from './answer.mjs';
import { element, radios, setText } from './dom.mjs';
import { counted } from './format.mjs';
import { changedImage, NO_CHANGES } from './image_changes.mjs';
import { liveMaps } from './live_maps.mjs';
import { computeNetwork } from './network.mjs';
import { createPad } from './pad.mjs';

const WIDTHS = { min: 12, max: 72, step: 2, value: 36 };
const CHANGES = {
  angle: { label: 'Turn', unit: '°', min: -90, max: 90, step: 5 },
  right: { label: 'Move right', unit: ' px', min: -10, max: 10, step: 1 },
  down: { label: 'Move down', unit: ' px', min: -10, max: 10, step: 1 },
  noise: { label: 'Noise', unit: ' %', min: 0, max: 60, step: 5, scale: 0.01 },
};

/**
 * Builds the canvas inside `root`.
 *
 * @param {object} network - As `readNetwork` gives it.
 * @param {object | null} images - TestImages.
 * @returns {{redraw: function(): void}} `redraw()` draws again in the colours of the theme.
 */
export function mountCanvas(root, network, images) {
  const tool = { width: WIDTHS.value, erase: false };
  let changes = { ...NO_CHANGES };
  let waiting = false;

  const pad = createPad(() => tool, requestUpdate);
  const answer = answerPanel(network);
  const maps = liveMaps();
  const time = element('p', { class: 'hint time' });
  const legend = element(
    'p',
    { class: 'hint' },
    'Each square is a map. Orange is positive, blue is negative, and the full colour is the largest value of the layer. ',
    'Layers that do nothing after the training are left out, such as dropout.',
  );
  const mapsPart = element('div', { hidden: true }, element('h3', {}, 'What each layer makes of it'), legend, maps.node);

  /** Many events come between two frames. One update for all of them is enough. */
  function requestUpdate() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      update();
    });
  }

  function update() {
    const start = performance.now();
    const image = pad.read();
    testImages?.describe(pad.text());
    mapsPart.hidden = !image;
    pad.node.classList.toggle('empty', !image);
    if (!image) {
      answer.clear();
      time.textContent = '';
      return;
    }
    const pixels = changedImage(image, changes);
    const steps = computeNetwork(network, pixels);
    answer.draw(pixels, steps);
    maps.draw(steps);
    time.textContent = `This update took ${(performance.now() - start).toFixed(1)} ms.`;
  }

  const tools = element(
    'div',
    { class: 'controls' },
    radios(
      'tool',
      'Tool',
      [
        ['pen', 'Pen'],
        ['eraser', 'Eraser'],
      ],
      'pen',
      (value) => (tool.erase = value === 'eraser'),
    ),
    slider('Line width', WIDTHS, (value) => (tool.width = value), String).node,
    element(
      'div',
      { class: 'pair' },
      element('button', { type: 'button', onclick: pad.undo }, 'Undo'),
      element('button', { type: 'button', onclick: pad.clear }, 'Clear'),
    ),
  );
  const sliders = Object.entries(CHANGES).map(([key, range]) =>
    slider(
      range.label,
      { value: 0, ...range },
      (value) => {
        changes = { ...changes, [key]: value * (range.scale ?? 1) };
        requestUpdate();
      },
      (value) => `${value}${range.unit}`,
    ),
  );
  const reset = () => sliders.forEach((each) => each.set(0));
  const changesPart = element(
    'fieldset',
    {},
    element('legend', {}, 'Change the image'),
    ...sliders.map((each) => each.node),
    element('button', { type: 'button', onclick: reset }, 'Reset'),
  );
  const testImages = images && stepper(images, pad.show);
  const more = element('div', { class: 'more' }, testImages?.node, changesPart);
  const draw = element('div', { class: 'draw' }, pad.node, tools);
  root.append(element('div', { class: 'canvas-view' }, draw, ...answer.nodes, more), time, mapsPart);
  pad.redraw();
  return { redraw: pad.redraw };
}

/** A labelled slider: `node`, and `set(value)`. `text(value)` is shown beside the label. */
function slider(label, { min, max, step, value }, change, text) {
  const shown = element('span', {}, text(value));
  const input = element('input', { type: 'range', min, max, step, value });
  const show = () => {
    shown.textContent = text(Number(input.value));
    input.setAttribute('aria-valuetext', shown.textContent);
    change(Number(input.value));
  };
  input.addEventListener('input', show);
  return {
    node: element('label', { class: 'slider' }, element('span', {}, `${label} `, shown), input),
    set(next) {
      input.value = next;
      show();
    },
  };
}

/** Steps through the test images of the page: `node`, and `describe(text)`. `show` lays one on the pad. */
function stepper(images, show) {
  const all = Array.from({ length: images.count }, (_, i) => i);
  const mistakes = all.filter((i) => images.labels[i] !== images.predictions[i]);
  let place = -1;
  const onlyMistakes = element('input', { type: 'checkbox' });
  const text = element('p', { class: 'hint', role: 'status' });
  const go = (by) => {
    const list = onlyMistakes.checked ? mistakes : all;
    const next = by > 0 ? list.find((i) => i > place) : list.findLast((i) => i < place);
    place = next ?? (by > 0 ? list[0] : list.at(-1));
    show({ pixels: images.pixels(place), text: description(images, place) });
  };
  const choice = mistakes.length ? element('label', {}, onlyMistakes, ` only the ${counted(mistakes.length, 'mistake')}`) : null;
  const node = element(
    'fieldset',
    {},
    element('legend', {}, `Take one of ${counted(images.count, 'test image')}`),
    element('button', { type: 'button', onclick: () => go(-1) }, '← Previous'),
    element('button', { type: 'button', onclick: () => go(1) }, 'Next →'),
    choice,
    text,
  );
  return { node, describe: (described) => setText(text, described || 'You can draw on it and erase parts of it.') };
}

function description(images, i) {
  const [label, prediction] = [images.labels[i], images.predictions[i]];
  const taken = label === prediction ? '' : ` Unchanged, the network takes it for a ${prediction}.`;
  return `Test image ${images.index[i]} is a ${label}.${taken}`;
}
