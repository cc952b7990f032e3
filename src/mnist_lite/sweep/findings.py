"""What a search has found: its best trials by held-out accuracy, how to make sure of the first, and the study's own plots."""

from __future__ import annotations

import io
import shlex
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnist_lite import durable
from mnist_lite.sweep.job import FAILED
from mnist_lite.sweep.table import Row, aligned

SHOWN = 10
NOT_AGAIN = ("seed", "data.holdout", "sweep")
"""Words that the best trial is not to be run again with."""
ENOUGH = 4
"""Trials that the importance of a parameter can be told from."""


def as_text(rows: Sequence[Row]) -> str:
    """The best trials by the accuracy that they were selected by, and the test accuracy of the first alone."""
    done = sorted((row for row in rows if row.holdout_final is not None), key=lambda row: -(row.holdout_final or 0.0))
    failed = sum(row.status == FAILED for row in rows)
    head = f"{len(rows)} trials: {len(done)} done, {failed} failed, {len(rows) - len(done) - failed} to do"
    if not done:
        return head
    keys = varied(rows)
    lines = [
        [*(row.overrides.get(key, "") for key in keys), f"{row.holdout_final:.2f}", f"{row.parameters:,}"]
        for row in done[:SHOWN]
    ]
    first = done[0]
    words = [f"{key}={value}" for key, value in first.overrides.items() if key not in NOT_AGAIN]
    return "\n".join(
        [
            f"{head}; the best by accuracy on held-out training images, one seed each:",
            *aligned([*keys, "holdout accuracy", "parameters"], lines, left=len(keys)),
            f"the first has {first.final:.2f} % on the test images, which had no say. How sure is it?",
            "python -m mnist_lite.train -m " + shlex.join([*words, "seed=range(5)"]),
        ]
    )


def varied(rows: Sequence[Row]) -> list[str]:
    """The overrides that are not the same in all trials."""
    keys = dict.fromkeys(key for row in rows for key in row.overrides)
    return [key for key in keys if len({row.overrides.get(key) for row in rows}) > 1]


def write_plots(folder: Path) -> list[str]:
    """Draws ``search_history.png``, ``search_slices.png`` and, from some trials on, ``search_importances.png``; their names.

    Raises:
        RunError: they cannot be written.
    """
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from optuna.trial import TrialState
    from optuna.visualization import matplotlib as draw

    from mnist_lite.sweep.search import load

    mpl.use("Agg")
    study = load(folder)
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not done:
        return []
    pictures: dict[str, Callable[..., Any]] = {
        "search_history.png": draw.plot_optimization_history,
        "search_slices.png": draw.plot_slice,
    }
    if len(done) >= ENOUGH and len({trial.value for trial in done}) > 1:
        pictures["search_importances.png"] = draw.plot_param_importances
    for name, plot in pictures.items():
        with warnings.catch_warnings(), mpl.rc_context({"savefig.bbox": "tight"}):
            warnings.simplefilter("ignore")  # Optuna calls these plots experimental
            plot(study, target_name="accuracy on held-out images, %")
            figure = plt.gcf()
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=110)
            plt.close("all")
        durable.write(folder / name, content.getvalue())
    return list(pictures)
