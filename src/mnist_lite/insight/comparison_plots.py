"""Pictures of a comparison as PNG: curves by step, epoch and seconds, and accuracy against parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from mnist_lite.insight.comparison import ComparedGroup, Comparison, FinishedRun, pareto_front
from mnist_lite.insight.published import PUBLISHED, Published
from mnist_lite.model.budget import describe_test_set, is_full_mnist
from mnist_lite.reporting import png
from mnist_lite.reporting.axes import use_whole_numbers
from mnist_lite.runner.metrics_file import read_evaluations

if TYPE_CHECKING:  # imported when a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_DRAWN = 8
"""Curves of more groups cannot be told apart. The groups with the highest accuracy are drawn."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's colours, which colour-blind people can tell apart. Line styles and markers repeat the information for grey."""
LINES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX*"
NEAR = 2
"""Published networks are drawn up to this factor beyond the sizes of the runs."""
NAMED_ON_THE_LEFT = ("era3", "era4", "step3", "step4")
"""Published networks whose names would cover the next one on the right."""
Point = tuple[float, float, float, float]
"""An evaluation: step, epoch, seconds since the start, test accuracy in percent."""


def draw_curves(comparison: Comparison) -> bytes:
    """Test accuracy by step, by epoch and by seconds: the mean over the seeds, and the range from the worst to the best run.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _curves(comparison))


def draw_parameters(comparison: Comparison) -> bytes:
    """Final test accuracy against parameters, with the Pareto front.

    The authors' own figures are drawn if a run was measured on MNIST's 10,000 test images.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _parameters(comparison))


def curve(run: FinishedRun) -> list[Point]:
    """The evaluations of ``run``. Empty if ``metrics.jsonl`` cannot be read."""
    try:
        rows = read_evaluations(run.path)
    except OSError:
        return []
    steps_per_epoch = math.ceil(run.summary.data["train"] / run.config["batch_size"])
    points: list[Point] = []
    earlier_epochs = this_epoch = evaluating = 0.0
    epoch = None
    for row in rows:
        if row["epoch"] != epoch:
            earlier_epochs, epoch = earlier_epochs + this_epoch, row["epoch"]
        this_epoch = row["seconds/train"]  # since the start of the epoch
        evaluating += row["seconds/eval"]
        seconds = earlier_epochs + this_epoch + evaluating
        points.append((row["step"], row["step"] / steps_per_epoch, seconds, row["test/accuracy"]))
    return points


def _curves(comparison: Comparison) -> Figure:
    from matplotlib.figure import Figure

    groups = _drawn(comparison)
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    floors = []
    for number, group in enumerate(groups):
        runs = [points for run in group.runs if (points := curve(run))]
        columns = list(zip(*runs, strict=False))  # up to the end of the shortest run
        means = [tuple(map(fmean, zip(*column, strict=True))) for column in columns]
        if means:
            _plot(panels, means, columns, number, _label(group))
            floors.append(sorted(mean[3] for mean in means)[len(means) // 4])
    for axes, label in zip(panels, ("training step", "epoch", "seconds of training and evaluation"), strict=True):
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    for axes in panels[:2]:
        use_whole_numbers(axes)
    panels[0].set_ylabel("test accuracy, %")
    if floors:  # the top is where good networks differ
        top = max(group.final.mean for group in groups)
        panels[0].set_ylim(max(0.0, min(floors) - 0.3 * (100.5 - min(floors))), min(100.0, top + 0.3 * (100.2 - top)))
    areas = "; areas: worst to best seed" if any(len(group.runs) > 1 for group in groups) else ""
    figure.suptitle(_title(comparison, groups, "Test accuracy") + areas, fontsize=11)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _plot(
    panels: Sequence[Axes],
    means: Sequence[tuple[float, ...]],
    columns: Sequence[Sequence[Point]],
    number: int,
    label: str,
) -> None:
    color, line, marker = COLORS[number], LINES[number % len(LINES)], MARKERS[number]
    y = [mean[3] for mean in means]
    low, high = [min(p[3] for p in column) for column in columns], [max(p[3] for p in column) for column in columns]
    every = max(1, len(means) // 12)
    for i, axes in enumerate(panels):
        x = [mean[i] for mean in means]
        axes.plot(
            x,
            y,
            color=color,
            linestyle=line,
            marker=marker,
            markersize=4.5,
            markevery=every,
            linewidth=1.4,
            label=label,
        )
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)


def _parameters(comparison: Comparison) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    groups = _drawn(comparison)
    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    axes = figure.subplots()
    everyone = [(group.summary.parameters, group.final.mean) for group in comparison.groups]
    others = [(g.summary.parameters, g.final.mean) for g in comparison.groups if g not in groups]
    axes.plot(*_columns(others), ".", color="0.75", markersize=3, zorder=1)
    for number, group in enumerate(groups):
        final = group.final
        bars = [
            [0.0 if final.low is None else final.mean - final.low],
            [0.0 if final.high is None else final.high - final.mean],
        ]
        axes.errorbar(
            [group.summary.parameters],
            [final.mean],
            bars,
            fmt=MARKERS[number],
            color=COLORS[number],
            markersize=7,
            capsize=3,
            zorder=3,
            label=_label(group),
        )
        place = (group.summary.parameters, final.mean)
        beside = sum(other.summary.parameters == place[0] for other in groups[:number])  # letters must not overlap
        axes.annotate(group.letter, place, (7 + 13 * beside, 5), textcoords="offset points", fontweight="bold")
    if len(front := pareto_front(everyone)) > 1:
        axes.step(*_columns(front), where="post", color="0.2", linewidth=1.2, label="Pareto front of the runs")
    smallest, largest = min(x for x, _ in everyone), max(x for x, _ in everyone)
    near = [network for network in PUBLISHED if smallest / NEAR < network.parameters < largest * NEAR]
    if near and any(
        is_full_mnist(group.summary.data["name"], group.summary.data["test"]) for group in comparison.groups
    ):
        _plot_published(axes, near)
    axes.set_xscale("log")
    axes.set_xlim(smallest / 2, largest * 2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if largest > 50 * smallest else (1.0, 2.0, 3.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("parameters")
    axes.set_ylabel("test accuracy, %")
    axes.grid(alpha=0.3)
    axes.set_title(_title(comparison, groups, "Final test accuracy") + "; bars: 95 % intervals", fontsize=11)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _plot_published(axes: Axes, networks: Sequence[Published]) -> None:
    points = [(network.parameters, network.accuracy) for network in networks]
    label = "published by the authors: one run, best or unnamed epoch"
    axes.plot(*_columns(points), "o", color="0.45", markerfacecolor="none", markersize=5, zorder=2, label=label)
    front = _columns(pareto_front(points))
    axes.step(*front, where="post", color="0.55", linestyle=":", linewidth=1.2, label="Pareto front of the published")
    for network in networks:
        side: Literal["left", "right"] = "right" if network.name in NAMED_ON_THE_LEFT else "left"
        place, offset = (network.parameters, network.accuracy), (-6 if side == "right" else 6, -3)
        axes.annotate(network.name, place, offset, textcoords="offset points", ha=side, fontsize=8, color="0.35")


def _drawn(comparison: Comparison) -> list[ComparedGroup]:
    best = sorted(comparison.groups, key=lambda group: -group.final.mean)[:MAX_DRAWN]
    return [group for group in comparison.groups if group in best]


def _label(group: ComparedGroup) -> str:
    return f"{group.letter}: {group.name} (n = {group.final.n})"


def _title(comparison: Comparison, groups: Sequence[ComparedGroup], what: str) -> str:
    """What is drawn, on which images, and of how many groups."""
    data = [group.summary.data for group in comparison.groups]
    images = " and ".join(dict.fromkeys(describe_test_set(each["name"], each["test"]) for each in data))
    few = (
        f"the {len(groups)} best of {len(comparison.groups):,} groups; " if len(groups) < len(comparison.groups) else ""
    )
    return f"{what} on {images}\n{few}mean over n seeds"


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
