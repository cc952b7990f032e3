// Stub: the drawing panel.

import { element } from './dom.mjs';

export function mountCanvas(root) {
  root.append(element('p', {}, 'The canvas comes here.'));
}
