"""The tables that are made from docs/results.csv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median, stdev

from results_file import FAST_RECIPES, GOALS, PUBLISHED_RECIPES, RECIPES, TOP, Result
from search_file import SEARCH, choose, configurations, read_search, search_table

from mnist_lite.insight.published import PUBLISHED

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


def pages(results: Sequence[Result]) -> dict[str, str]:
    """The pages that have tables of the results, with these tables filled: name to text."""
    readme, page = (TOP / name for name in ("README.md", "docs/results.md"))
    texts = {
        "README.md": _readme(readme.read_text(encoding="utf-8"), results),
        "docs/results.md": replaced(
            page.read_text(encoding="utf-8"),
            {
                "published: from results.csv": published_table(results),
                "frontier: from results.csv": frontier_table(results),
                "fast: from results.csv": fast_table(results),
            },
        ),
        "docs/experiments.md": _searches((TOP / "docs/experiments.md").read_text(encoding="utf-8")),
    }
    for recipe in RECIPES:
        note = TOP / "conf" / "experiment" / f"{recipe}.yaml"
        texts[f"conf/experiment/{recipe}.yaml"] = _lab_note(note.read_text(encoding="utf-8"), _of(results, recipe))
    return texts


def published_table(results: Sequence[Result]) -> str:
    """One line for each published recipe."""
    lines = []
    for recipe in PUBLISHED_RECIPES:
        runs = _of(results, recipe)
        published = f"{BEST[recipe]:.2f}" if recipe in BEST else ""
        cells = [recipe, "", "", "0", "not run", *[""] * (len(FIGURES) + 1), published]
        if runs:
            epochs = "-".join(str(n) for n in sorted({r.epochs for r in runs}))
            gap = mean_and_deviation([r.train - r.final for r in runs])
            minutes = f"{median(r.seconds for r in runs) / 60:.1f}"
            figures = [figure(runs, key) for key in FIGURES]
            cells = [recipe, f"{runs[0].parameters:,}", epochs, count(runs), *figures, gap, minutes, published]
        lines.append(cells)
    return table(("recipe", "parameters", "epochs", "n", *FIGURES.values(), "gap", "minutes", "published best"), lines)


def frontier_table(results: Sequence[Result]) -> str:
    """One line for each network of the frontier that was trained."""
    heads = ("recipe", "parameters", "n", "final", "lowest", "train, final", "minutes", "goal", "best known elsewhere")
    lines = []
    for recipe, goal in GOALS.items():
        if runs := _of(results, recipe):
            lowest = f"{min(r.lowest_of_last_5 for r in runs):.2f}"
            minutes = f"{median(r.seconds for r in runs) / 60:.1f}"
            figures = [figure(runs, "final"), lowest, figure(runs, "train"), minutes]
            lines.append(
                [recipe, f"{runs[0].parameters:,}", count(runs), *figures, f"{goal.accuracy:.2f}", goal.best_known]
            )
    return table(heads, lines)


def fast_table(results: Sequence[Result]) -> str:
    """One line for each fast recipe that was trained."""
    lines = []
    for recipe in FAST_RECIPES:
        if runs := _of(results, recipe):
            seconds = mean_and_deviation([r.seconds for r in runs])
            lines.append(
                [recipe, f"{runs[0].parameters:,}", str(runs[0].epochs), count(runs), figure(runs, "final"), seconds]
            )
    return table(("recipe", "parameters", "epochs", "n", "final", "seconds"), lines)


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines))


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


def replaced(text: str, tables: Mapping[str, str]) -> str:
    """``text`` with each table in place of the table after its mark ``<!-- <mark> -->``."""
    for mark, new in tables.items():
        start, end = f"<!-- {mark} -->", "<!-- end -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n\n{new}\n\n{end}{rest.split(end, 1)[1]}"
    return text


def _searches(text: str) -> str:
    """``text`` with the tables of the search, each after a mark.

    A mark is ``<!-- search: <least> to <limit> parameters, <least> to <most> epochs -->``.
    """
    runs = read_search(TOP / SEARCH)
    heads = ("parameters", "layers", "changes of the recipe", "accuracy at each seed", "mean", "mean loss")

    def filled(match: re.Match[str]) -> str:
        least, limit, shortest, longest = (int(match[name]) for name in ("least", "limit", "shortest", "longest"))
        chosen = choose(runs, range(least, limit), range(shortest, longest + 1))
        counts = f"{_counted(configurations(chosen), 'configuration')}, {_counted(len(chosen), 'run')}."
        return f"{match['mark']}\n\n{table(heads, search_table(chosen))}\n\n{counts}\n\n<!-- end -->"

    numbers = r"(?P<least>\d+) to (?P<limit>\d+) parameters, (?P<shortest>\d+) to (?P<longest>\d+) epochs"
    return re.sub(rf"(?P<mark><!-- search: {numbers} -->).*?<!-- end -->", filled, text, flags=re.DOTALL)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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
    long = min(r.epochs for r in runs) > 5
    others = f", {last} mean of the last 5, {best} best" if long else ""
    measured = f"test {final} in the last epoch{others}; train {train}. n = {count(runs)}."
    seconds = median(r.seconds for r in runs)
    time = f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.1f} seconds"
    minutes = f"{time} with {runs[0].threads} thread{'s' * (runs[0].threads > 1)}"
    text = re.sub(r"^# Measured: .*$", f"# Measured:  {measured}", text, count=1, flags=re.MULTILINE)
    return re.sub(r"^# Time: .*$", f"# Time:      {minutes}.", text, count=1, flags=re.MULTILINE)
