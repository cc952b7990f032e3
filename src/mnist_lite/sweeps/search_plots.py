"""The picture of a search, ``search.png``: held-out accuracy by trial, by each varied key, and by the number of parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_lite import files
from mnist_lite.reporting import png
from mnist_lite.sweeps.plots import use_logarithmic_x
from mnist_lite.sweeps.results import JobRow, describe_images

if TYPE_CHECKING:  # Optuna is an extra. Matplotlib is imported when a picture is drawn.
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from optuna import Study
    from optuna.trial import FrozenTrial

MAX_COLUMNS = 3
MAX_TRIALS = 150
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

    study = load_study(folder)
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if trials:
        files.write(folder / "search.png", png.draw(lambda: _draw(study, trials, rows)))


def importances(study: Study) -> dict[str, float]:
    """The share of each key in the variance of the accuracy, 0 to 1, by fANOVA (Hutter, Hoos and Leyton-Brown, 2014).

    Optuna 4.2 uses fANOVA by default, Optuna 5.0 uses PED-ANOVA. fANOVA has the same arguments in both, so it is chosen here
    with all arguments.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    evaluator = FanovaImportanceEvaluator(n_trees=64, max_depth=64, seed=0)
    return get_param_importances(study, evaluator=evaluator, params=None, target=None, normalize=True)


def _draw(study: Study, trials: Sequence[FrozenTrial], rows: Sequence[JobRow]) -> Figure:
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    rows = [row for row in rows if row.holdout_final is not None]
    sizes_differ = len({row.parameters for row in rows}) > 1
    figure, panels = _create_panels(1 + len(keys) + sizes_differ)
    _plot_trials(panels[0], trials)
    shares = _importances_if_comparable(study, trials, keys)
    for axes, key in zip(panels[1:], keys, strict=False):
        dots = _plot_key(axes, trials, key)
        axes.set_xlabel(f"{key} (importance {shares[key]:.2f})" if key in shares else key)
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
    quartile, best = sorted(values)[len(values) // 4], max(values)
    spread = max(best - quartile, 0.2)
    axes.set_ylim(bottom=quartile - 1.5 * spread, top=best + 0.3 * spread)


def _plot_key(axes: Axes, trials: Sequence[FrozenTrial], key: str) -> PathCollection:
    """Plots accuracy by the values of ``key``. The colour of a dot is the number of its trial."""
    tried = [trial for trial in trials if key in trial.params]
    x, y = [trial.params[key] for trial in tried], [trial.value or 0.0 for trial in tried]
    numbers, last = [trial.number + 1 for trial in tried], max(trial.number + 1 for trial in trials)
    dots = axes.scatter(x, y, c=numbers, cmap="viridis", s=18, vmin=1, vmax=last)
    if getattr(tried[-1].distributions[key], "log", False):
        use_logarithmic_x(axes)
    return dots


def _importances_if_comparable(study: Study, trials: Sequence[FrozenTrial], keys: Sequence[str]) -> dict[str, float]:
    """The importances. Empty if there are too few trials, if all have the same accuracy, or if they varied different keys.

    Of many trials, ``MAX_TRIALS`` are used, evenly spaced: the time of fANOVA grows faster than the number of trials.
    """
    same_keys = all(set(trial.params) == set(keys) for trial in trials)
    enough = len(trials) >= MIN_TRIALS and len({trial.value for trial in trials}) > 1
    if not (same_keys and enough):
        return {}
    import optuna

    if len(trials) > MAX_TRIALS:
        study = optuna.create_study(direction="maximize")
        study.add_trials(trials[:: math.ceil(len(trials) / MAX_TRIALS)])
    return importances(study)
