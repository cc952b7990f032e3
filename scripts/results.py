"""Writes the results of the shipped recipes: docs/results.csv, and the tables and the picture that are made from it.

python scripts/results.py                            # makes them from docs/results.csv
python scripts/results.py runs/sweeps/<name> ...     # adds the finished runs of sweeps first

A run belongs to a recipe if it is the recipe with another seed: nothing else was changed but values that do not change
the result. A run replaces the line of the same recipe and seed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from results_file import RECIPES, RESULTS, TOP, Result, as_csv, read_results
from results_picture import draw
from results_tables import pages

from mnist_lite.insight.changes import changes
from mnist_lite.insight.locate import find_runs
from mnist_lite.runner.config_file import read_config
from mnist_lite.runner.metrics import epoch_ends
from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.runner.summary import Summary, read_summary

PICTURE = Path("docs/results.png")


def main(arguments: Sequence[str]) -> None:
    """Adds the runs of the sweeps ``arguments``, and fills the tables."""
    path = TOP / RESULTS
    results = read_results(path) if path.exists() else []
    found = [result for folder in (find_runs(arguments) if arguments else []) if (result := result_of(folder))]
    merged = {(r.recipe, r.seed): r for r in [*results, *found]}
    results = [merged[key] for key in sorted(merged, key=lambda key: (RECIPES.index(key[0]), key[1]))]
    path.write_bytes(as_csv(results))
    print(f"{RESULTS}: {len(results)} runs, {len(found)} of them new")
    for name, text in pages(results).items():
        (TOP / name).write_text(text, encoding="utf-8")
    draw(results, TOP / PICTURE)


def result_of(folder: Path) -> Result | None:
    """The result of the run in ``folder``. None: it is not finished, or it is no shipped recipe on all of MNIST."""
    summary = recipe_summary(folder)
    if summary is None or summary.experiment not in RECIPES:
        return None
    return Result(
        summary.experiment,
        summary.seed,
        summary.parameters,
        round(summary.accuracy.train.final, 2),
        round(summary.seconds.train + summary.seconds.eval, 1),
        summary.threads,
        summary.git or "",
        tuple(round(row["test/accuracy"], 2) for row in epoch_ends(read_evaluations(folder))),
    )


def recipe_summary(folder: Path, may_change: tuple[str, ...] = ()) -> Summary | None:
    """The summary of the run in ``folder``. None: it is not finished, or it is no shipped recipe on all of MNIST.

    Its seed is free. So are the overrides that begin with a text of ``may_change``.
    """
    summary = read_summary(folder)
    if summary is None or summary.experiment is None:
        return None
    if (summary.data["name"], summary.data["test"]) != ("mnist", 10_000):
        return None
    free = ("experiment=", "seed=", "data=mnist", *may_change)
    return summary if all(change.startswith(free) for change in changes(read_config(folder))) else None


if __name__ == "__main__":
    main(sys.argv[1:])
