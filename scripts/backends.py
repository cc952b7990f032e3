"""Compares the accuracy of the kernels with that of torch: docs/backends.csv, and the table of docs/performance.md from it.

python scripts/backends.py                           # makes the table from docs/backends.csv
python scripts/backends.py runs/sweeps/<name> ...    # adds the finished runs of sweeps first

A run counts if it is a published recipe in float32 on all of MNIST, with all its epochs, any seed and any backend. A run
replaces the line of the same recipe, backend and seed.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from results import recipe_summary
from results_file import PUBLISHED_RECIPES, TOP
from results_tables import mean_and_deviation, replaced, table

from mnist_lite.insight.locate import find_runs
from mnist_lite.runner.config_file import read_config

BACKENDS, PAGE = Path("docs/backends.csv"), Path("docs/performance.md")
MARK = "backends: from backends.csv"
MAY_CHANGE = ("backend=", "precision=", "memory_format=", "stop_at_accuracy=")
"""Overrides that a run may have."""


class BackendRun(NamedTuple):
    """A run: a line of the file."""

    recipe: str
    backend: str
    """``kernels`` or ``torch``."""
    seed: int
    final: float
    """Test accuracy after the last epoch, in percent."""
    commit: str


def main(arguments: Sequence[str]) -> None:
    """Adds the runs of the sweeps ``arguments``, and fills the table."""
    found = [run for folder in (find_runs(arguments) if arguments else []) if (run := backend_run(folder))]
    merged = {run[:3]: run for run in [*read_backends(), *found]}
    runs = sorted(merged.values(), key=lambda run: (PUBLISHED_RECIPES.index(run.recipe), *run[1:3]))
    with (TOP / BACKENDS).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(BackendRun._fields)
        lines.writerows([*run[:3], f"{run.final:.2f}", run.commit] for run in runs)
    (TOP / PAGE).write_text(page(runs), encoding="utf-8")
    print(f"{BACKENDS}: {len(runs)} runs, {len(found)} of them new")


def read_backends() -> list[BackendRun]:
    """The lines of the file."""
    with (TOP / BACKENDS).open(encoding="utf-8", newline="") as file:
        return [
            BackendRun(row["recipe"], row["backend"], int(row["seed"]), float(row["final"]), row["commit"])
            for row in csv.DictReader(file)
        ]


def backend_run(folder: Path) -> BackendRun | None:
    """The run in ``folder``. None: it does not count."""
    summary = recipe_summary(folder, MAY_CHANGE)
    if summary is None or summary.experiment not in PUBLISHED_RECIPES or summary.precision != "fp32":
        return None
    if read_config(folder)["stop_at_accuracy"] is not None:
        return None  # its last epoch was chosen by its test accuracy
    final = round(summary.accuracy.test.final, 2)
    return BackendRun(summary.experiment, summary.backend, summary.seed, final, summary.git or "")


def page(runs: Iterable[BackendRun]) -> str:
    """The text of the page with the table filled."""
    return replaced((TOP / PAGE).read_text(encoding="utf-8"), {MARK: backends_table(list(runs))})


def backends_table(runs: Sequence[BackendRun]) -> str:
    """One line for each recipe. The last column is the difference of the means and its standard error."""
    lines = []
    for recipe in PUBLISHED_RECIPES:
        kernels, torch = (
            [run.final for run in runs if (run.recipe, run.backend) == (recipe, backend)]
            for backend in ("kernels", "torch")
        )
        if kernels and torch:
            cells = [f"{mean_and_deviation(finals)} (n = {len(finals)})" for finals in (kernels, torch)]
            error = math.sqrt(sum(stdev(finals) ** 2 / len(finals) for finals in (kernels, torch)))
            lines.append([recipe, *cells, f"{fmean(kernels) - fmean(torch):+.3f} ± {error:.3f}"])
    return table(("recipe", "kernels", "torch", "difference of the means ± its standard error"), lines)


if __name__ == "__main__":
    main(sys.argv[1:])
