"""The picture of docs/results.csv: accuracy against parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from results_file import FAST_RECIPES, GOALS, PUBLISHED_RECIPES, Result

from mnist_lite.insight.comparison import pareto_front
from mnist_lite.insight.published import PUBLISHED
from mnist_lite.sweeps.statistics import Estimate

LOWEST = 98.6
"""The bottom of the picture, in percent. A line below the axis names the networks with less."""
NAMED_ON_THE_LEFT = ("genesis", "era3", "era4", "frontier_5k", "frontier_8k")
"""Their names would cover others on the right."""
ON_THE_OTHER_SIDE = ("step5", "fast_99")
"""Their names are above instead of below, or below instead of above. Otherwise they would cover those of eva5 and genesis."""
RESOLUTION = 100 / 10_000
"""The accuracy that one test image adds, in percent."""


class Point(NamedTuple):
    """A network in the picture."""

    name: str
    parameters: int
    accuracy: float
    """In percent."""
    low: float | None = None
    """The lower end of the 95 % interval over seeds. None: fewer than three runs."""
    high: float | None = None


def draw(results: Sequence[Result], path: Path) -> None:
    """Writes the picture to ``path``, as PNG."""
    figure = Figure(figsize=(9.5, 6.0), layout="constrained")
    axes = figure.subplots()
    theirs = [Point(network.name, network.parameters, network.accuracy) for network in PUBLISHED]
    ours = points(results, PUBLISHED_RECIPES)
    new = points(results, (*GOALS, *FAST_RECIPES))
    _plot(axes, theirs, "o", "0.5", "published: one run, best or unnamed epoch")
    _plot(axes, ours, "s", "#0072b2", "ours, the published recipes: last epoch, mean and 95 % interval over seeds")
    _plot(axes, new, "D", "#d55e00", "ours, new recipes: last epoch, mean and 95 % interval over seeds")
    _name(axes, theirs, "0.35", -7)
    _name(axes, new, "#d55e00", 7)
    below = [
        f"{point.name} {point.accuracy:.2f} ({whose})"
        for whose, shown in (("published", theirs), ("ours", [*ours, *new]))
        for point in shown
        if point.accuracy < LOWEST
    ]
    front = pareto_front([(point.parameters, point.accuracy) for point in [*ours, *new] if point.accuracy >= LOWEST])
    if len(front) > 1:
        axes.step([x for x, _ in front], [y for _, y in front], where="post", color="0.2", label="Pareto front of ours")
    axes.set_xscale("log")
    axes.set_ylim(LOWEST - 0.03, 99.8)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("parameters" + (f"\nnot shown, lower: {', '.join(below)}" if below else ""))
    axes.set_ylabel("test accuracy, %")
    axes.grid(alpha=0.3)
    axes.set_title("Accuracy on MNIST's 10,000 test images against the number of parameters")
    axes.legend(loc="lower right", fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def points(results: Sequence[Result], recipes: Sequence[str]) -> list[Point]:
    """The recipes that were trained, with the accuracy after the last epoch. Runs that did not learn count, too."""
    found = []
    for recipe in recipes:
        if runs := [r for r in results if r.recipe == recipe]:
            final = Estimate.of([r.final for r in runs], RESOLUTION)
            found.append(Point(recipe, runs[0].parameters, final.mean, final.low, final.high))
    return found


def _plot(axes: Axes, shown: Sequence[Point], marker: str, color: str, label: str) -> None:
    seen = [point for point in shown if point.accuracy >= LOWEST]
    y = [point.accuracy for point in seen]
    bars = [
        [0.0 if point.low is None else point.accuracy - point.low for point in seen],
        [0.0 if point.high is None else point.high - point.accuracy for point in seen],
    ]
    fill = "none" if marker == "o" else color
    axes.errorbar(
        [point.parameters for point in seen],
        y,
        bars if any(map(any, bars)) else None,
        fmt=marker,
        color=color,
        markerfacecolor=fill,
        markersize=5,
        capsize=2,
        label=label,
    )


def _name(axes: Axes, shown: Sequence[Point], color: str, offset: int) -> None:
    for point in shown:
        if point.accuracy >= LOWEST:
            place, left = (point.parameters, point.accuracy), point.name in NAMED_ON_THE_LEFT
            axes.annotate(
                point.name,
                place,
                (-5 if left else 5, -offset if point.name in ON_THE_OTHER_SIDE else offset),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=8,
                color=color,
            )
