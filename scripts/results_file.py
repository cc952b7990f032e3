"""The file docs/results.csv: one line for each run of a shipped recipe on all of MNIST."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from mnist_lite.insight.published import PUBLISHED

TOP = Path(__file__).resolve().parents[1]
RESULTS = Path("docs/results.csv")
PUBLISHED_RECIPES = ("base", *(network.name for network in PUBLISHED))
"""The recipes of the course write-ups. base has no published accuracy."""


class Goal(NamedTuple):
    """The accuracy that one of our own recipes should reach."""

    best_known: str
    """The best figure that we know from others, and how it was obtained."""
    accuracy: float
    """Mean test accuracy of 20 seeds after the last epoch, in percent."""


GOALS = {
    "frontier_20k": Goal("99.65, mean of 1,500 runs of large networks with 35 epochs", 99.68),
    "frontier_10k": Goal("99.60, one run, last epoch, 9,994 parameters", 99.65),
    "frontier_8k": Goal("99.55, one run, best epoch, 7,076 parameters", 99.60),
    "frontier_5k": Goal("99.46, one run, last epoch, 4,392 parameters", 99.50),
    "frontier_3k": Goal("99.25, one run on a part of the images, 3,197 parameters", 99.45),
    "frontier_2k": Goal("99.13, one run on a part of the images, best epoch, 1,936 parameters", 99.40),
    "frontier_1k": Goal("99.03, best epoch of about 700 runs of 2,000 epochs, 697 parameters", 99.00),
}
"""The recipes of the frontier: our own networks, each with fewer parameters than its name says."""
FAST_RECIPES = ("fast", "fast_99")
RECIPES = (*PUBLISHED_RECIPES, *GOALS, *FAST_RECIPES)


class Result(NamedTuple):
    """A run of a recipe: a line of ``docs/results.csv``. Accuracies are in percent."""

    recipe: str
    seed: int
    parameters: int
    train: float
    """During the last epoch, with augmentation and dropout."""
    seconds: float
    threads: int
    commit: str
    test: tuple[float, ...]
    """On MNIST's 10,000 test images, after each epoch. In the file, there is a space between two of them."""

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return len(self.test)

    @property
    def first(self) -> float:
        """After the first epoch."""
        return self.test[0]

    @property
    def final(self) -> float:
        """After the last epoch."""
        return self.test[-1]

    @property
    def best(self) -> float:
        """The highest of all epochs. It is chosen on the test images."""
        return max(self.test)

    @property
    def mean_last_5(self) -> float:
        """The mean of the last five epochs, or of all if there are fewer."""
        return fmean(self.test[-5:])

    @property
    def lowest_of_last_5(self) -> float:
        """The lowest of the last five epochs, or of all if there are fewer."""
        return min(self.test[-5:])


def read_results(path: Path) -> list[Result]:
    """The rows of ``docs/results.csv``."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Result(
                row["recipe"],
                int(row["seed"]),
                int(row["parameters"]),
                float(row["train"]),
                float(row["seconds"]),
                int(row["threads"]),
                row["commit"],
                tuple(map(float, row["test"].split())),
            )
            for row in csv.DictReader(file)
        ]


def as_csv(results: Iterable[Result]) -> bytes:
    """The content of ``docs/results.csv``."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Result._fields)
    table.writerows([*result[:-1], " ".join(f"{accuracy:.2f}" for accuracy in result.test)] for result in results)
    return text.getvalue().encode()
