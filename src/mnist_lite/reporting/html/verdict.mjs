// What comes first: what was trained, how good it is, and whether it keeps its budget.

import { element } from './dom.mjs';
import { counted, duration, percent, signed, thousands } from './format.mjs';

export function verdictSection(data) {
  const best = data.runs[data.verdict.best];
  const several = data.runs.length > 1;
  return element(
    'section',
    { id: 'verdict', 'aria-label': 'Summary' },
    element('p', { class: 'figure' }, percent(best.final), element('span', { class: 'unit' }, ' %')),
    element('p', { class: 'headline' }, headline(data, best)),
    several
      ? element(
          'p',
          { class: 'best' },
          `${data.runs.some((run) => run.seeds.length > 1) ? 'Highest mean' : 'Highest'}: ${best.letter} · ${best.name}`,
        )
      : null,
    facts(best),
    several ? answers(data.verdict.answers) : null,
    data.verdict.checks.length ? budget(data.verdict.checks, several ? `Budget of ${best.name}` : 'Budget') : null,
    notes(data, best, several),
  );
}

/** The sentence after the figure. */
export function headline(data, best) {
  const compared = data.verdict.compared.map((i) => data.runs[i]);
  const kind = compared.some((run) => run.seeds.length > 1) ? 'groups of runs' : 'runs';
  const others = compared.length < data.runs.length ? ' on these images' : '';
  const who = compared.length > 1 ? ` by the best of ${compared.length} ${kind}${others}` : '';
  const mean = best.seeds.length > 1 ? `, as the mean of ${best.seeds.length} seeds` : '';
  return `of ${best.images} are recognised${who} after the last epoch${mean}, with ${thousands(best.parameters)} parameters.`;
}

function facts(run) {
  const items = [
    ['parameters', thousands(run.parameters)],
    ['multiply-adds per image', thousands(run.multiply_adds)],
    ['epochs', String(run.epochs)],
    ['time', duration(run.seconds)],
    ['train (with dropout and augmentation) minus test', signed(run.gap)],
  ];
  if (run.low !== null) items.unshift(['95 % interval over seeds', `${percent(run.low)} to ${percent(run.high)}`]);
  return element(
    'dl',
    { class: 'facts' },
    ...items.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))),
  );
}

function budget(checks, name) {
  const met = checks.filter((check) => check.met === true).length;
  const result = checks.some((check) => check.met === false) ? 'missed' : 'not judged';
  const part = `${met} of ${counted(checks.length, 'requirement')} ${met === 1 ? 'is' : 'are'} met`;
  const title = met === checks.length ? `${name} met` : `${name} ${result}: ${part}`;
  const items = checks.map((check) => {
    const [sign, word] = { true: ['✓', 'met'], false: ['✗', 'missed'] }[check.met] ?? ['–', 'not judged'];
    const note = check.note ? ` (${check.note})` : '';
    return element(
      'li',
      { class: word.replace(' ', '-') },
      element('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
      element('span', { class: 'requirement' }, check.requirement),
      element('span', { class: 'reached' }, `${check.value}: ${word}${note}`),
    );
  });
  return element('div', { class: 'budget' }, element('h2', {}, title), element('ul', {}, ...items));
}

function answers(sentences) {
  return element(
    'div',
    { class: 'answers' },
    element('h2', {}, 'Which is better?'),
    ...sentences.map((sentence) => element('p', {}, sentence.replace(/^Which is better\? /, ''))),
  );
}

function notes(data, best, several) {
  const lines = several ? data.verdict.notes : [];
  const epochs = [...new Set(best.best_epochs)];
  if (!several) {
    const when = epochs.length === 1 ? ` (epoch ${epochs[0]})` : '';
    lines.unshift(
      `The best epoch had ${percent(best.best)} %${when}. It is chosen with the test images, so its accuracy is too high.`,
    );
    lines.unshift(`Trained on ${best.trained_on}.`);
  }
  return element('ul', { class: 'notes' }, ...lines.map((line) => element('li', {}, line)));
}
