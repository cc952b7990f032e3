// Light or dark: as the system has it, until the reader changes it.

import { element } from './dom.mjs';

/** A button that changes the theme. Then `changed()` is called, because canvases must be drawn again. */
export function themeButton(changed) {
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const button = element('button', { type: 'button', class: 'quiet', id: 'theme' });
  const show = () => {
    button.textContent = isDark() ? 'Light theme' : 'Dark theme';
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    show();
    changed();
  });
  system.addEventListener('change', () => {
    show();
    changed();
  });
  window.matchMedia('print').addEventListener('change', changed); // paper is always light
  show();
  return button;
}
