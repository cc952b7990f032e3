"""The file docs/frontier_search.csv: one line for each run of the search, and the tables of docs/experiments.md from it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

SEARCH = Path("docs/frontier_search.csv")
RECIPE = ("augment=affine", "batch_size=32", "optimizer.lr=0.1")
"""The recipe of the search, with 15 epochs. The file has the settings that can be changed."""


class SearchRun(NamedTuple):
    """A run of the search: a line of the file. Accuracies are in percent."""

    layers: str
    """In the notation of ``search_layers.py``."""
    parameters: int
    overrides: str
    """The changeable settings, sorted, with a space between two of them."""
    seed: int
    holdout_accuracy: float
    """On 10,000 training images that were held out, after the last epoch."""
    holdout_loss: float
    train_accuracy: float
    """During the last epoch, with augmentation."""

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        settings = dict(setting.split("=", 1) for setting in self.overrides.split())
        return int(settings.get("epochs", 15))


def read_search(path: Path) -> list[SearchRun]:
    """The lines of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            SearchRun(
                row["layers"],
                int(row["parameters"]),
                row["overrides"],
                int(row["seed"]),
                float(row["holdout_accuracy"]),
                float(row["holdout_loss"]),
                float(row["train_accuracy"]),
            )
            for row in csv.DictReader(file)
        ]


def write_search(path: Path, runs: Iterable[SearchRun]) -> None:
    """Writes ``runs``, sorted by parameters."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(SearchRun._fields)
        for run in sorted(set(runs), key=_order):
            accuracy, loss, train = run[4:]
            table.writerow([*run[:4], f"{accuracy:.2f}", f"{loss:.4f}", f"{train:.2f}"])


def _order(run: SearchRun) -> tuple[int, str, str, int]:
    return run.parameters, run.layers, run.overrides, run.seed


def choose(runs: Iterable[SearchRun], parameters: range, epochs: range) -> list[SearchRun]:
    """The runs of a table, sorted by parameters."""
    return sorted((r for r in runs if r.parameters in parameters and r.epochs in epochs), key=_order)


def search_table(runs: Sequence[SearchRun]) -> list[Sequence[str]]:
    """The cells of a table with one line for each network and recipe. ``runs`` are sorted by parameters.

    The runs with the most epochs come first, and among them those with the lowest mean loss.
    """
    lines = []
    for (parameters, layers, overrides), group in groupby(runs, lambda r: (r.parameters, r.layers, r.overrides)):
        same = list(group)
        changes = " ".join(f"`{setting}`" for setting in overrides.split() if setting not in RECIPE)
        accuracies = ", ".join(f"{run.holdout_accuracy:.2f}" for run in same)
        mean, loss = fmean(r.holdout_accuracy for r in same), fmean(r.holdout_loss for r in same)
        cells = (f"{parameters:,}", f"`{layers}`", changes, accuracies, f"{mean:.2f}", f"{loss:.4f}")
        lines.append(((-same[0].epochs, loss), cells))
    return [cells for _, cells in sorted(lines)]


def configurations(runs: Iterable[SearchRun]) -> int:
    """The number of networks with their recipes."""
    return len({(r.layers, r.overrides) for r in runs})
