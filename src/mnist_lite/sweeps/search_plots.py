"""The picture of a search, ``search.png``: held-out accuracy by trial, by each varied key, and by the number of parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_lite import files
from mnist_lite.reporting import png
from mnist_lite.reporting.axes import use_logarithmic_x, use_whole_numbers
from mnist_lite.reporting.text_layout import shortened
from mnist_lite.sweeps.results import JobRow, describe_images

if TYPE_CHECKING:  # Optuna is an extra. Matplotlib is imported when a picture is drawn.
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from optuna import Study
    from optuna.trial import FrozenTrial

MAX_COLUMNS = 3
MAX_KEYS = 11
"""If more keys vary, only the first ones have panels, and no importance is estimated."""
MAX_CHOICES = 8
"""If a key has more choices that are not numbers, only some of them have labels."""
MAX_TEXT = 40
"""Longer keys and choices are cut."""
MAX_TRIALS = 150
"""If there are more trials, the importance is estimated from about this many. The time of fANOVA grows with their square."""
MIN_TRIALS = 4
"""With fewer trials, the importance of a key is not estimated."""


def write_plots(folder: Path, rows: Sequence[JobRow]) -> None:
    """Writes ``search.png``, if a trial is done.

    Raises:
        DrawingError: it cannot be drawn.
        RunError: it cannot be written.
    """
    from optuna.trial import TrialState

    from mnist_lite.sweeps.study import load_study

    trials = load_study(folder).get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if trials:
        files.write(folder / "search.png", png.draw(lambda: _draw(trials, rows)))


def importances(study: Study) -> dict[str, float]:
    """The share of each key in the variance of the accuracy, 0 to 1, by fANOVA (Hutter, Hoos and Leyton-Brown, 2014).

    Optuna 4.2 uses fANOVA by default, Optuna 5.0 uses PED-ANOVA. fANOVA has the same arguments in both, so it is chosen here
    with all arguments.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    evaluator = FanovaImportanceEvaluator(n_trees=64, max_depth=64, seed=0)
    return get_param_importances(study, evaluator=evaluator, params=None, target=None, normalize=True)


def _draw(trials: Sequence[FrozenTrial], rows: Sequence[JobRow]) -> Figure:
    varied = list(dict.fromkeys(key for trial in trials for key in trial.params))
    keys = varied[:MAX_KEYS]
    rows = [row for row in rows if row.holdout_final is not None]
    sizes_differ = len({row.parameters for row in rows}) > 1
    figure, panels = _create_panels(1 + len(keys) + sizes_differ)
    _plot_trials(panels[0], trials)
    sample = trials[:: math.ceil(len(trials) / MAX_TRIALS)]
    shares = _importances_if_comparable(sample, varied) if keys == varied else {}
    for axes, key in zip(panels[1:], keys, strict=False):
        dots = _plot_key(axes, trials, key)
        importance = f" (importance {shares[key]:.2f})" if key in shares else ""
        axes.set_xlabel(f"{shortened(key, MAX_TEXT)}{importance}")
    if keys != varied:
        figure.suptitle(f"the first {len(keys)} of {len(varied):,} keys", fontsize="medium")
    elif shares and len(sample) < len(trials):
        figure.suptitle(f"importance: from {len(sample)} of {len(trials):,} trials", fontsize="medium")
    if sizes_differ:
        panels[-1].plot(
            [row.parameters or 0 for row in rows], [row.holdout_final or 0.0 for row in rows], "o", markersize=4
        )
        panels[-1].set_xlabel("parameters")
    from matplotlib.ticker import MaxNLocator

    figure.colorbar(dots, ax=panels, label="trial", fraction=0.03, ticks=MaxNLocator(integer=True))
    figure.supylabel(f"accuracy in % on {' and '.join(describe_images(rows, 'holdout'))}", fontsize="medium")
    return figure


def _create_panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels that share their y axis."""
    from matplotlib.figure import Figure

    columns = min(count, MAX_COLUMNS)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
    for axes in panels[:count]:
        axes.grid(alpha=0.3)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _plot_trials(axes: Axes, trials: Sequence[FrozenTrial]) -> None:
    """Plots the accuracy of each trial and the best accuracy so far. Poor trials may be below the y axis."""
    numbers = [trial.number + 1 for trial in trials]
    values = [trial.value or 0.0 for trial in trials]
    axes.plot(numbers, values, "o", markersize=4)
    axes.step(numbers, list(itertools.accumulate(values, max)), where="post", linewidth=1.2, label="best so far")
    axes.legend(fontsize=8, loc="lower right")
    axes.set_xlabel("trial")
    use_whole_numbers(axes)
    quartile, best = sorted(values)[len(values) // 4], max(values)
    spread = max(best - quartile, 0.2)
    axes.set_ylim(bottom=quartile - 1.5 * spread, top=best + 0.3 * spread)


def _plot_key(axes: Axes, trials: Sequence[FrozenTrial], key: str) -> PathCollection:
    """Plots accuracy by the values of ``key``. The colour of a dot is the number of its trial."""
    tried = [trial for trial in trials if key in trial.params]
    x, y = [trial.params[key] for trial in tried], [trial.value or 0.0 for trial in tried]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in x):
        x = _use_choices_as_x(axes, x)
    numbers, last = [trial.number + 1 for trial in tried], max(trial.number + 1 for trial in trials)
    dots = axes.scatter(x, y, c=numbers, cmap="viridis", s=18, vmin=1, vmax=last)
    if getattr(tried[-1].distributions[key], "log", False):
        use_logarithmic_x(axes)
    return dots


def _use_choices_as_x(axes: Axes, values: Sequence[object]) -> list[float]:
    """Puts the different ``values`` side by side on the x axis. Returns the place of each value."""
    places = {text: float(place) for place, text in enumerate(dict.fromkeys(map(str, values)))}
    labelled = list(places)[:: math.ceil(len(places) / MAX_CHOICES)]
    texts = [shortened(text, MAX_TEXT // len(labelled) + 3) for text in labelled]
    axes.set_xticks([places[text] for text in labelled], texts, parse_math=False)
    return [places[str(value)] for value in values]


def _importances_if_comparable(trials: Sequence[FrozenTrial], keys: Sequence[str]) -> dict[str, float]:
    """The importances. Empty if there are too few trials, if all have the same accuracy, or if they varied different keys."""
    same_keys = all(set(trial.params) == set(keys) for trial in trials)
    enough = len(trials) >= MIN_TRIALS and len({trial.value for trial in trials}) > 1
    if not (same_keys and enough):
        return {}
    import optuna

    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return importances(study)
