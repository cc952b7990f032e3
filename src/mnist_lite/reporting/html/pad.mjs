// The pad: a sheet of paper on which the reader draws with mouse, finger, stylus or keyboard.
//
// The opacity of a pixel is its ink. An image of the test split can lie on the pad; strokes of pen and eraser change it.

import { channels } from './colours.mjs';
import { asMnist, resampled } from './digit.mjs';
import { element } from './dom.mjs';

const PAD_SIDE = 448; // 16 x 28
const STEP = PAD_SIDE / 28;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  'Drawing pad. With the keyboard: the arrow keys move the pen, Space puts it down or lifts it, Shift makes small steps, ' +
  'Backspace undoes, Delete clears.';

/** A pad. `tool()` gives {width, erase}. `changed()` is called after each change. */
export function createPad(tool, changed) {
  const canvas = element('canvas', { width: PAD_SIDE, height: PAD_SIDE, tabindex: 0, role: 'application', 'aria-label': HELP });
  const cursor = element('div', { class: 'pen', 'aria-hidden': 'true' });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.beginPath();
  context.rect(1, 1, PAD_SIDE - 2, PAD_SIDE - 2); // asMnist expects an edge without ink
  context.clip();
  Object.assign(context, { lineCap: 'round', lineJoin: 'round' });

  /** `image`: {pixels, text}, or null for an empty sheet. */
  let sheet = { image: null, strokes: [] };
  const earlier = [];
  const pen = { x: PAD_SIDE / 2, y: PAD_SIDE / 2, down: false };

  function replace(next) {
    earlier.push(sheet);
    sheet = next;
    liftPen();
    redraw();
  }

  function redraw() {
    canvas.classList.toggle('light-ink', channels('var(--ink)')[0] > 127); // the pixels are black in both themes
    context.globalCompositeOperation = 'source-over';
    context.clearRect(0, 0, PAD_SIDE, PAD_SIDE);
    if (sheet.image) drawImage(context, sheet.image.pixels);
    for (const stroke of sheet.strokes) drawStroke(context, stroke.points, stroke);
    changed();
  }

  function begin(point, erase) {
    const { width, erase: erases } = tool();
    const stroke = { points: [point, point], width, erase: erases || erase };
    earlier.push(sheet);
    sheet = { ...sheet, strokes: [...sheet.strokes, stroke] };
    drawStroke(context, stroke.points, stroke);
    changed();
  }

  function extend(point) {
    const stroke = sheet.strokes.at(-1);
    drawStroke(context, [stroke.points.at(-1), point], stroke);
    stroke.points.push(point);
    changed();
  }

  function undo() {
    if (!earlier.length) return;
    sheet = earlier.pop();
    liftPen();
    redraw();
  }

  function clear() {
    replace({ image: null, strokes: [] });
  }

  function liftPen() {
    pen.down = false;
    cursor.classList.remove('down');
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * PAD_SIDE) / box.width,
      y: ((event.clientY - box.top) * PAD_SIDE) / box.height,
    };
  }

  let pointer = null;
  canvas.addEventListener('pointerdown', (event) => {
    if (pointer !== null || (event.pointerType === 'mouse' && event.button > 0)) return;
    liftPen();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    begin(place(event), event.button === 5); // the other end of a stylus
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerId !== pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const part of all.length ? all : [event]) extend(place(part));
  });
  for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === pointer) pointer = null;
    });
  }

  function showCursor() {
    cursor.style.left = `${(100 * pen.x) / PAD_SIDE}%`;
    cursor.style.top = `${(100 * pen.y) / PAD_SIDE}%`;
  }

  canvas.addEventListener('keydown', (event) => {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = event.shiftKey ? STEP / 4 : STEP;
      const inside = (value) => Math.min(Math.max(value, 0), PAD_SIDE);
      Object.assign(pen, { x: inside(pen.x + step * arrow[0]), y: inside(pen.y + step * arrow[1]) });
      showCursor();
      if (pen.down) extend({ x: pen.x, y: pen.y });
    } else if (event.key === ' ') {
      pen.down = !pen.down;
      cursor.classList.toggle('down', pen.down);
      if (pen.down) begin({ x: pen.x, y: pen.y }, false);
    } else if (event.key === 'Backspace' || (event.key === 'z' && (event.ctrlKey || event.metaKey))) {
      undo();
    } else if (event.key === 'Delete') {
      clear();
    } else {
      return;
    }
    event.preventDefault();
  });
  canvas.addEventListener('blur', liftPen);
  showCursor();

  return {
    node: element('div', { class: 'pad' }, canvas, cursor),
    undo,
    redraw,
    clear,
    /** Lays an image, {pixels, text}, on the pad. */
    show: (image) => replace({ image, strokes: [] }),
    /** The text of the image on the pad. */
    text: () => sheet.image?.text ?? '',
    /** 784 values: the drawing as MNIST has it, or the image with its changes. Null: nothing is drawn. */
    read() {
      if (!sheet.image && !sheet.strokes.length) return null;
      const drawing = { width: PAD_SIDE, height: PAD_SIDE, data: inkOf(context) };
      if (!sheet.image) return asMnist(drawing);
      return Uint8Array.from(resampled(drawing, 28, 28), (value) => Math.floor(value + 0.5));
    },
  };
}

function inkOf(context) {
  const { data } = context.getImageData(0, 0, PAD_SIDE, PAD_SIDE);
  const ink = new Uint8Array(PAD_SIDE ** 2);
  for (let i = 0; i < ink.length; i++) ink[i] = data[4 * i + 3];
  return ink;
}

/** Line by line, as the points came: one long path would have other soft edges. */
function drawStroke(context, points, { width, erase }) {
  context.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
  context.lineWidth = width;
  for (let i = 1; i < points.length; i++) {
    context.beginPath();
    context.moveTo(points[i - 1].x, points[i - 1].y);
    context.lineTo(points[i].x + 0.01, points[i].y); // a line without length would draw nothing
    context.stroke();
  }
}

/** Draws 784 values as squares. */
function drawImage(context, pixels) {
  pixels.forEach((value, i) => {
    if (!value) return;
    context.fillStyle = `rgb(0 0 0 / ${value / 255})`;
    context.fillRect((i % 28) * STEP, Math.floor(i / 28) * STEP, STEP, STEP);
  });
}
