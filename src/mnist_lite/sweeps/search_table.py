"""What a search has found: its best trials by held-out accuracy, how to make sure of the first, and a picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_lite import files
from mnist_lite.config.overrides import train_command
from mnist_lite.model.budget import describe_test_set
from mnist_lite.reporting import png
from mnist_lite.reporting.text_layout import wrapped
from mnist_lite.sweeps.plots import logarithmic
from mnist_lite.sweeps.table import Row, aligned, measured_on, totals

if TYPE_CHECKING:  # Optuna is an extra; matplotlib is imported when a picture is drawn
    from matplotlib.figure import Figure
    from optuna import Study
    from optuna.trial import FrozenTrial

MAX_ROWS = 10
EXCLUDED_KEYS = ("seed", "data.holdout", "sweep")
"""Words that the best trial is not to be run again with."""
ENOUGH = 4
"""Trials that the importance of a parameter can be told from."""


def as_text(rows: Sequence[Row], width: int | None = None) -> str:
    """The best trials by held-out accuracy, and the test accuracy of the first one, in lines of at most ``width``."""
    done = sorted((row for row in rows if row.holdout_final is not None), key=lambda row: -(row.holdout_final or 0.0))
    if not done:
        return totals(rows, "trials")
    keys = varied(rows)
    lines = [
        [*(row.overrides.get(key, "") for key in keys), f"{row.holdout_final:.2f}", f"{row.parameters:,}"]
        for row in done[:MAX_ROWS]
    ]
    first = done[0]
    words = [f"{key}={value}" for key, value in first.overrides.items() if key not in EXCLUDED_KEYS]
    text = "\n".join(
        [
            f"the best trials by accuracy on {' and '.join(measured_on(rows))}, one seed each:",
            *aligned([*keys, "holdout accuracy", "parameters"], lines, len(keys), width),
            f"the first has {first.final:.2f} % on {describe_test_set(str(first.data), first.test_images or 0)}. They were not "
            "used to select it.",
            "This is one run. To try the same settings with five seeds:",
            train_command(["-m", *words, "seed=range(5)"]),
            totals(rows, "trials"),
        ]
    )
    return wrapped(text, width)


def varied(rows: Sequence[Row]) -> list[str]:
    """The overrides that are not the same in all trials."""
    keys = dict.fromkeys(key for row in rows for key in row.overrides)
    return [key for key in keys if len({row.overrides.get(key) for row in rows}) > 1]


def importances(study: Study) -> dict[str, float]:
    """The share of each key in the variance of the accuracy, 0 to 1, by fANOVA (Hutter, Hoos and Leyton-Brown, 2014).

    The default of Optuna 4.2 is fANOVA, that of 5.0 is PED-ANOVA. fANOVA takes the same arguments in both, so it is named here,
    with all of them.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    evaluator = FanovaImportanceEvaluator(n_trees=64, max_depth=64, seed=0)
    return get_param_importances(study, evaluator=evaluator, params=None, target=None, normalize=True)


def write_plots(folder: Path, rows: Sequence[Row]) -> None:
    """Draws ``search.png``: accuracy on held-out images by trial, by what was varied, and by parameters where those differ.

    Raises:
        DrawingError: it cannot be drawn.
        RunError: it cannot be written.
    """
    from optuna.trial import TrialState

    from mnist_lite.sweeps.search import load

    study = load(folder)
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if done:
        files.write(folder / "search.png", png.draw(lambda: _figure(study, done, rows)))


def _figure(study: Study, done: Sequence[FrozenTrial], rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    from optuna.distributions import FloatDistribution, IntDistribution

    values = [trial.value or 0.0 for trial in done]
    numbers = [trial.number + 1 for trial in done]
    kinds = {key: kind for trial in done for key, kind in trial.distributions.items()}
    keys = list(kinds)
    alike = all(set(trial.params) == set(keys) for trial in done)  # else the study was gone on with over other keys
    weights = importances(study) if alike and len(done) >= ENOUGH and len(set(values)) > 1 else {}
    sizes = {row.folder: row for row in rows if row.holdout_final is not None}
    by_size = len({row.parameters for row in sizes.values()}) > 1
    count = 1 + len(keys) + by_size
    columns = min(count, 3)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
    best = list(itertools.accumulate(values, max))
    panels[0].plot(numbers, values, "o", markersize=4)
    panels[0].step(numbers, best, where="post", linewidth=1.2, label="best so far")
    panels[0].legend(fontsize=8, loc="lower right")
    panels[0].set_xlabel("trial")
    for axes, key in zip(panels[1:], keys, strict=False):
        kind = kinds[key]
        tried = [trial for trial in done if key in trial.params]
        x, y = [trial.params[key] for trial in tried], [trial.value or 0.0 for trial in tried]
        dots = axes.scatter(
            x, y, c=[trial.number + 1 for trial in tried], cmap="viridis", s=18, vmin=1, vmax=max(numbers)
        )
        axes.set_xlabel(key + (f" (importance {weights[key]:.2f})" if key in weights else ""))
        if isinstance(kind, FloatDistribution | IntDistribution) and kind.log:
            logarithmic(axes)
    figure.colorbar(dots, ax=panels, label="trial", fraction=0.03, ticks=MaxNLocator(integer=True))
    if by_size:
        axes = panels[count - 1]
        pairs = [(row.parameters or 0, row.holdout_final or 0.0) for row in sizes.values()]
        axes.plot(*zip(*pairs, strict=True), "o", markersize=4)
        axes.set_xlabel("parameters")
    for axes in panels[:count]:
        axes.grid(alpha=0.3)
    for axes in panels[count:]:
        axes.set_visible(False)
    figure.supylabel(f"accuracy in % on {' and '.join(measured_on(rows))}", fontsize="medium")
    floor = sorted(values)[len(values) // 4]
    panels[0].set_ylim(
        bottom=floor - 1.5 * max(max(values) - floor, 0.2), top=max(values) + 0.3 * max(max(values) - floor, 0.2)
    )
    return figure
