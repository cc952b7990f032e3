// The commands that train the runs again.

import { details, element, section } from './dom.mjs';

export function commandsSection(data) {
  const lead =
    'Each command trains a run again. On the same machine with the same versions, the result is the same bit for bit. Elsewhere it is nearly the same.';
  return section('commands', 'Train it again', lead, ...data.runs.map((run) => runCommands(run, data.runs.length > 1)));
}

function runCommands(run, named) {
  const [first, ...others] = run.commands;
  const rest = others.length
    ? details(others.length === 1 ? 'The other seed' : `The other ${others.length} seeds`, ...others.map(command))
    : null;
  return element(
    'div',
    { class: 'command' },
    named ? element('h3', {}, `${run.letter} · ${run.name}`) : null,
    command(first),
    rest,
    element('p', { class: 'hint' }, `Trained on ${run.trained_on}: ${run.conditions}.`),
  );
}

function command(run) {
  if (!run.command) {
    return element(
      'p',
      {},
      'No command was found that makes this config from the shipped files. The file ',
      element('code', {}, 'config.yaml'),
      ` in the folder ${run.folder} has the whole config.`,
    );
  }
  const status = element('span', { class: 'hint', role: 'status' });
  const code = element('code', {}, run.command);
  const copy = element(
    'button',
    { type: 'button', class: 'quiet', 'aria-label': `Copy the command of seed ${run.seed}`, onclick: () => copied(code, status) },
    'Copy',
  );
  return element(
    'div',
    { class: 'line' },
    element('pre', { tabindex: '0', 'aria-label': `Command of seed ${run.seed}` }, code),
    copy,
    status,
  );
}

/** Some browsers allow no clipboard to a page from a file. Then the text is selected. */
async function copied(code, status) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    status.textContent = 'copied';
  } catch {
    window.getSelection().selectAllChildren(code);
    status.textContent = 'selected; press Ctrl+C';
  }
}
