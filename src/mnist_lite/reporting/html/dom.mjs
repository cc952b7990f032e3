// Makes elements. Text from run folders is always set as text, and never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An HTML element with attributes and children. A child is a node or a text. An attribute that is null or false is left out. `onclick`
 * and so on are listeners.
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, as `element`. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A section of the page. */
export function section(id, title, lead, ...children) {
  const heading = element('h2', { id: `${id}-title` }, title);
  return element(
    'section',
    { id, 'aria-labelledby': `${id}-title` },
    heading,
    lead && element('p', { class: 'lead' }, lead),
    ...children,
  );
}

/** How to use a part of the page: not in print. */
export function howTo(text) {
  return element('span', { class: 'screen-only' }, ` ${text}`);
}

/** A table that scrolls sideways on a narrow screen. `columns`: {title, number}. `rows`: cells as texts or nodes. */
export function table(caption, columns, rows, attributes = {}) {
  const kind = (i) => (columns[i].number ? 'number' : null);
  const head = element('tr', {}, ...columns.map((column, i) => element('th', { scope: 'col', class: kind(i) }, column.title)));
  const body = rows.map((cells) => element('tr', {}, ...cells.map((cell, i) => bodyCell(cell, i, kind(i)))));
  const made = element(
    'table',
    attributes,
    element('caption', { class: 'hidden' }, caption),
    element('thead', {}, head),
    element('tbody', {}, ...body),
  );
  return scrollable(caption, made);
}

function bodyCell(cell, i, kind) {
  return i === 0 ? element('th', { scope: 'row', class: kind }, cell) : element('td', { class: kind }, cell);
}

/** A box that scrolls sideways, also with the keyboard. */
export function scrollable(name, ...children) {
  return element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': name }, ...children);
}

/** A part that opens with a click. */
export function details(summary, ...children) {
  return element('details', {}, element('summary', {}, summary), ...children);
}

/** A group of radio buttons. `options`: [value, text]. `choose(value)` is called after a choice. */
export function radios(name, legend, options, chosen, choose) {
  const inputs = options.map(([value, text]) =>
    element(
      'label',
      {},
      element('input', { type: 'radio', name, value, checked: value === chosen, onchange: () => choose(value) }),
      element('span', {}, text),
    ),
  );
  return element('fieldset', { class: 'radios' }, element('legend', {}, legend), ...inputs);
}

/** A screen reader reads a status aloud when it changes, so the same text is not set again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
