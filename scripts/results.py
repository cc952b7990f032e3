"""Writes the results of the published recipes: docs/results.csv, and the tables that are made from it.

python scripts/results.py                            # fills the tables from docs/results.csv
python scripts/results.py runs/sweeps/<name> ...     # adds the finished runs of sweeps first

A run belongs to a published recipe if it is the recipe with another seed: nothing else was changed but values that do not change
the result. A run replaces an older run of the same recipe and seed.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from mnist_lite.insight.changes import changes
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.published import PUBLISHED
from mnist_lite.runner.config_file import read_config
from mnist_lite.runner.metrics import epoch_ends
from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.runner.summary import read_summary

TOP = Path(__file__).resolve().parents[1]
RESULTS = Path("docs/results.csv")
RECIPES = (
    "base",
    "genesis",
    "salvation",
    "step1",
    "step2",
    "step3",
    "step4",
    "step5",
    "era1",
    "era2",
    "era3",
    "era4",
    "eva5",
)
FIGURES = {
    "final": "final",
    "mean_last_5": "mean of last 5",
    "best": "best",
    "first": "first epoch",
    "train": "train, final",
}
"""Fields of ``Result`` and the heads of their columns."""
LEARNED = 90
"""Percent in the last epoch. All published recipes reach more if they learn."""
BEST = {network.name: network.accuracy for network in PUBLISHED}


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


def result_of(folder: Path) -> Result | None:
    """The result of the run in ``folder``. None: it is not finished, or it is no published recipe on all of MNIST."""
    summary = read_summary(folder)
    if (
        summary is None
        or summary.experiment not in RECIPES
        or (summary.data["name"], summary.data["test"]) != ("mnist", 10_000)
    ):
        return None
    others = [
        change
        for change in changes(read_config(folder))
        if not change.startswith(("experiment=", "seed=", "data=mnist"))
    ]
    if others:
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


def pages(results: Sequence[Result]) -> dict[str, str]:
    """The pages that have tables of the results, with these tables filled: name to text."""
    readme, page = (TOP / name for name in ("README.md", "docs/results.md"))
    texts = {
        "README.md": _readme(readme.read_text(encoding="utf-8"), results),
        "docs/results.md": _replaced(page.read_text(encoding="utf-8"), results_table(results)),
    }
    for recipe in RECIPES:
        note = TOP / "conf" / "experiment" / f"{recipe}.yaml"
        texts[f"conf/experiment/{recipe}.yaml"] = _lab_note(note.read_text(encoding="utf-8"), _of(results, recipe))
    return texts


def results_table(results: Sequence[Result]) -> str:
    """The table of docs/results.md: one line for each recipe."""
    heads = ("recipe", "parameters", "epochs", "n", *FIGURES.values(), "gap", "minutes", "published best")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for recipe in RECIPES:
        runs = _of(results, recipe)
        published = f"{BEST[recipe]:.2f}" if recipe in BEST else ""
        cells = [recipe, "", "", "0", "not run", *[""] * (len(FIGURES) + 1), published]
        if runs:
            epochs = "-".join(str(n) for n in sorted({r.epochs for r in runs}))
            gap = mean_and_deviation([r.train - r.final for r in runs])
            minutes = f"{fmean(r.seconds for r in runs) / 60:.1f}"
            figures = [figure(runs, key) for key in FIGURES]
            cells = [recipe, f"{runs[0].parameters:,}", epochs, count(runs), *figures, gap, minutes, published]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(runs: Sequence[Result], key: str) -> str:
    """Mean and deviation of the field ``key`` over ``runs``."""
    return mean_and_deviation([getattr(r, key) for r in runs])


def count(runs: Sequence[Result]) -> str:
    """The number of runs, and of those that did not learn. A few such runs explain a low mean with a large deviation."""
    failed = sum(r.final < LEARNED for r in runs)
    return f"{len(runs)}, {failed} of them below {LEARNED} %" if failed else str(len(runs))


def mean_and_deviation(values: Sequence[float]) -> str:
    """``99.42 ± 0.04``, or the value alone if there is one."""
    return f"{fmean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def _of(results: Iterable[Result], recipe: str) -> list[Result]:
    return [r for r in results if r.recipe == recipe]


def _replaced(text: str, table: str) -> str:
    """``text`` with ``table`` in place of the table between the two marks."""
    start, end = "<!-- table from results.csv -->", "<!-- end -->"
    before, rest = text.split(start)
    return f"{before}{start}\n\n{table}\n\n{end}{rest.split(end, 1)[1]}"


def _readme(text: str, results: Sequence[Result]) -> str:
    """The README with the last two columns of its table of models filled."""

    def line(match: re.Match[str]) -> str:
        runs = _of(results, match["name"])
        if not runs:
            return f"{match['start']}not run | not run |"
        return f"{match['start']}{figure(runs, 'best')} | {figure(runs, 'final')} (n = {count(runs)}) |"

    return re.sub(
        r"^(?P<start>\| (?P<name>\w+) \| [\d,]+ \|[^|]*\|[^|]*\| )[^|]*\|[^|]*\|$", line, text, flags=re.MULTILINE
    )


def _lab_note(text: str, runs: Sequence[Result]) -> str:
    """A file of conf/experiment with its lines ``Measured`` and ``Time`` filled."""
    if not runs:
        return text
    final, last, best, train = (figure(runs, key) for key in ("final", "mean_last_5", "best", "train"))
    measured = (
        f"test {final} in the last epoch, {last} mean of the last 5, {best} best; train {train}. n = {count(runs)}."
    )
    minutes = (
        f"{fmean(r.seconds for r in runs) / 60:.0f} minutes with {runs[0].threads} thread{'s' * (runs[0].threads > 1)}"
    )
    text = re.sub(r"^# Measured: .*$", f"# Measured:  {measured}", text, count=1, flags=re.MULTILINE)
    return re.sub(r"^# Time: .*$", f"# Time:      {minutes}.", text, count=1, flags=re.MULTILINE)


if __name__ == "__main__":
    main(sys.argv[1:])
