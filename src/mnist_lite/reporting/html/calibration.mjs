// Is the network as often right as it says? The reliability diagram.

import { axes, linearScale } from './chart.mjs';
import { details, element, section, svg, table } from './dom.mjs';
import { percent, share, thousands } from './format.mjs';

const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];

export function calibrationSection(tested) {
  const question = 'When the network says 90 %, is it right in 90 % of the cases?';
  const error = `The expected calibration error is ${tested.ece.toFixed(2)} percentage points on ${tested.measured_on}.`;
  const lead = `${question} ${error} Points under the line: the network is too sure.`;
  return section('calibration', 'Calibration', lead, diagram(tested), binTable(tested));
}

function diagram(tested) {
  const box = { left: 52, right: 500, top: 30, bottom: 330 };
  const x = linearScale([0, 1], [box.left, box.right]);
  const y = linearScale([0, 1], [box.bottom, box.top]);
  const filled = tested.bins.filter((bin) => bin.images);
  const most = Math.max(...filled.map((bin) => bin.images));
  const marks = filled.map((bin) => {
    const at = x(bin.confidence);
    const [low, high] = bin.interval;
    const title = `Probability ${share(bin.low)} to ${share(bin.high)}: ${thousands(bin.images)} images, right in ${share(bin.accuracy)}`;
    return svg(
      'g',
      { class: 'mark' },
      svg('title', {}, title),
      svg('line', { x1: at, x2: at, y1: y(low), y2: y(high), class: 'interval' }),
      svg('circle', { cx: at, cy: y(bin.accuracy), r: 4 + 5 * Math.sqrt(bin.images / most) }),
    );
  });
  const text = (tick) => `${Math.round(100 * tick)} %`;
  const name = `Reliability diagram of ${filled.length} bins. The values are in the table below.`;
  const picture = svg(
    'svg',
    { viewBox: '0 0 520 380', class: 'chart narrow', role: 'img', 'aria-label': name },
    axes(
      box,
      { scale: x, ticks: TICKS, text, label: 'probability of the answer' },
      { scale: y, ticks: TICKS, text, label: 'share of right answers' },
    ),
    svg('line', { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: 'ideal' }),
    ...marks,
  );
  const note = 'Lines are 95 % intervals (Wilson). A larger point has more images.';
  return element('figure', { class: 'picture' }, picture, element('figcaption', { class: 'hint' }, note));
}

function binTable(tested) {
  const columns = ['Probability of the answer', 'Images', 'Mean probability', 'Right', '95 % interval'].map((title) => ({
    title,
    number: true,
  }));
  const rows = tested.bins
    .filter((bin) => bin.images)
    .map((bin) => [
      `${percent(100 * bin.low, 1)} to ${percent(100 * bin.high, 1)} %`,
      thousands(bin.images),
      `${percent(100 * bin.confidence)} %`,
      `${percent(100 * bin.accuracy)} %`,
      `${percent(100 * bin.interval[0])} to ${percent(100 * bin.interval[1])} %`,
    ]);
  return details('The values as a table', table('Calibration', columns, rows));
}
