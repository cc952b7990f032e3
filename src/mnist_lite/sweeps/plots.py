"""Pictures of a grid: accuracy by each varied number, by epoch, and by the number of parameters.

``write_curves`` is for searches, too. The other pictures of a search are in ``search_plots.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from mnist_lite import files
from mnist_lite.reporting import png
from mnist_lite.reporting.axes import use_logarithmic_x, use_whole_numbers
from mnist_lite.reporting.text_layout import shortened
from mnist_lite.runner.metrics import epoch_ends
from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.sweeps.results import Group, JobRow, describe_images, finished, group_rows, selection_split, varied_keys

if TYPE_CHECKING:  # imported when a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 10
"""A picture with more lines has no room for their names, and matplotlib has ten colours."""
MAX_PICTURES = 10
"""If more keys vary, only the first ones have pictures."""
MAX_NAME, MAX_VALUE = 80, 24
"""The lengths of a name in a picture and of a value in it. What is longer is cut."""
MAX_INSIDE, MAX_INSIDE_NAME = 6, 32
"""If there are more or longer names, they are below the axes, where they cover nothing."""
MAX_POINTS = 60
"""More points leave no room for names in the axes. More points in one line are not connected."""
MAX_NUMBER = 1e100
LOGARITHMIC = ("optimizer.lr", "scheduler.max_lr", "optimizer.weight_decay")
Point = tuple[float, Group]
"""The value of a number, and a group with this value."""


def write_curves(folder: Path, rows: Sequence[JobRow]) -> None:
    """Writes ``curves.png``, if a job is done.

    Raises:
        DrawingError: it cannot be drawn.
        RunError: it cannot be written.
    """
    groups = [group for group in group_rows(rows) if group.estimate]
    if groups:
        images = " and ".join(describe_images(rows, "test"))
        files.write(folder / "curves.png", png.draw(lambda: _draw_curves(folder, groups, images)))


def write_comparisons(folder: Path, rows: Sequence[JobRow]) -> list[str]:
    """Writes the pictures that compare groups. Returns their names.

    There is ``accuracy_by_<key>.png`` for each of the first ``MAX_PICTURES`` keys with several numbers. If the networks
    differ in size, there is ``accuracy_by_parameters.png``.

    Raises:
        DrawingError: a picture cannot be drawn.
        RunError: a picture cannot be written.
    """
    groups = [group for group in group_rows(rows) if group.estimate]
    keys, split = varied_keys([group.overrides for group in groups]), selection_split(rows)
    label = f"final {split} accuracy, %\non {' and '.join(describe_images(rows, split))}"
    pictures: dict[str, Callable[[], Figure]] = {}
    by_key: dict[str, list[Point]] = {key: [] for key in keys}
    for group in groups:
        for key in group.overrides.keys() & by_key.keys():
            value = _number(group, key)
            by_key[key] += [] if value is None else [(value, group)]
    for key, points in by_key.items():
        if len({value for value, _ in points}) > 1 and len(pictures) < MAX_PICTURES:
            others = [other for other in keys if other != key]
            pictures[f"accuracy_by_{files.slug(key)}.png"] = partial(_draw_by_number, points, key, others, label)
    points = [(float(group.rows[0].parameters or 0), group) for group in groups]
    if len({value for value, _ in points}) > 1:
        pictures["accuracy_by_parameters.png"] = partial(_draw_by_number, points, "parameters", keys, label)
    for name, make in pictures.items():
        files.write(folder / name, png.draw(make))
    return list(pictures)


def _draw_by_number(points: Sequence[Point], x_label: str, keys: Sequence[str], y_label: str) -> Figure:
    """One line for each combination of values of ``keys``. The bars are 95 % intervals of the mean over seeds.

    Of many lines, those with the best groups have names and colours. The others are grey points.
    """
    figure, axes = _canvas(x_label, y_label)
    by_values: dict[frozenset[tuple[str, str]], list[Point]] = {}
    compared = set(keys)
    for point in sorted(points, key=lambda point: point[0]):
        values = frozenset(item for item in point[1].overrides.items() if item[0] in compared)
        by_values.setdefault(values, []).append(point)
    lines = list(by_values.values())
    if len(lines) > MAX_NAMED:
        lines.sort(key=lambda line: max(_mean(group) for _, group in line), reverse=True)
        others = [(value, _mean(group)) for line in lines[MAX_NAMED:] for value, group in line]
        axes.plot(*zip(*others, strict=True), ".", color="0.75", markersize=3, zorder=1)
        axes.set_title(f"the {MAX_NAMED} best of {len(lines):,} have names; the others are grey", fontsize=9)
    elif len(lines) == 1 and len(points) > MAX_POINTS:
        value, group = max(points, key=lambda point: _mean(point[1]))
        axes.set_title(f"the best of {len(points):,}: {value:.4g} with {_mean(group):.2f} %", fontsize=9)
    for line in lines[:MAX_NAMED]:
        estimates = [group.estimate for _, group in line if group.estimate]
        below = [0.0 if e.low is None else e.mean - e.low for e in estimates]
        above = [0.0 if e.high is None else e.high - e.mean for e in estimates]
        x, y, label = [value for value, _ in line], [e.mean for e in estimates], _name(line[0][1], keys)
        look: dict[str, Any] = {"fmt": "o-", "capsize": 3, "markersize": 4, "linewidth": 1.2}
        if len(line) > MAX_POINTS:
            look = {"fmt": "o", "markersize": 2, "elinewidth": 0.4}
        axes.errorbar(x, y, [below, above], label=label, **look)
    if x_label == "parameters":
        axes.set_xscale("log")
    elif x_label in LOGARITHMIC and all(value > 0 for value, _ in points):
        use_logarithmic_x(axes, sorted({value for value, _ in points}))
    elif all(value.is_integer() for value, _ in points):
        use_whole_numbers(axes)
    if len(lines) > 1:
        _add_legend(figure, axes, "best" if len(points) <= MAX_POINTS else None)
    return figure


def _draw_curves(folder: Path, groups: Sequence[Group], images: str) -> Figure:
    """Test accuracy by epoch: the mean over the seeds of a group, and the range from its worst to its best run."""
    figure, axes = _canvas("epoch", f"test accuracy, %\non {images}")
    use_whole_numbers(axes)
    keys = varied_keys([group.overrides for group in groups])
    shown = sorted(groups, key=_mean, reverse=True)[:MAX_NAMED]
    floors = [_plot_curve(axes, folder, group, _name(group, keys)) for group in shown]
    axes.set_ylim(bottom=max(0.0, min(floors) - 2), top=min(100.0, _mean(shown[0]) + 1))
    if len(shown) < len(groups):
        axes.set_title(f"the {len(shown)} best of {len(groups):,} groups", fontsize=9)
    _add_legend(figure, axes, "lower right")
    return figure


def _plot_curve(axes: Axes, folder: Path, group: Group, name: str) -> float:
    """Plots the curve of a group. Returns the accuracy that three quarters of its epochs exceed. 100: it has no curve."""
    runs = [run for row in finished(group.rows) if (run := _read_curve(folder / str(row.folder)))]
    if not runs:
        return 100.0
    columns = list(zip(*runs, strict=False))  # up to the end of the shortest run
    means = [fmean(column) for column in columns]
    epochs = range(1, len(columns) + 1)
    marker = "o" if len(columns) == 1 else None  # a line with one point is invisible, and so is an area without width
    (line,) = axes.plot(epochs, means, label=name or None, linewidth=1.4, marker=marker)
    if len(runs) > 1:
        low, high = [min(column) for column in columns], [max(column) for column in columns]
        axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        if marker:
            axes.vlines(epochs, low, high, color=line.get_color(), linewidth=1.2)
    return sorted(means)[len(means) // 4]


def _mean(group: Group) -> float:
    assert group.estimate is not None
    return group.estimate.mean


def _canvas(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(shortened(x_label, MAX_NAME))
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    return figure, axes


def _add_legend(figure: Figure, axes: Axes, place: Literal["best", "lower right"] | None) -> None:
    """The names of the lines: in the axes at ``place`` if they are few and short. Otherwise below, in a taller figure."""
    names = axes.get_legend_handles_labels()[1]
    longest = max(map(len, names), default=0)
    if len(names) > MAX_INSIDE or longest > MAX_INSIDE_NAME or place is None:
        columns = 2 if longest <= MAX_NAME // 2 else 1
        figure.set_figheight(figure.get_figheight() + 0.18 * math.ceil(len(names) / columns))
        figure.legend(fontsize=8, loc="outside lower center", ncols=columns)
    elif names:
        axes.legend(fontsize=8, loc=place)


def _read_curve(folder: Path) -> list[float]:
    """The test accuracy of a run after each epoch. Empty if ``metrics.jsonl`` cannot be read."""
    try:
        return [row["test/accuracy"] for row in epoch_ends(read_evaluations(folder))]
    except (OSError, ValueError):
        return []


def _name(group: Group, keys: Sequence[str]) -> str:
    """The values of ``keys``, for the legend: ``lr 0.01, norm batch_norm``."""
    parts = []
    for key in keys:
        if key in group.overrides:
            value, number = group.overrides[key], _number(group, key)
            text = value if number is None or len(value) <= len("0.000123") else f"{number:.4g}"
            parts.append(" ".join(shortened(part, MAX_VALUE) for part in (key.rpartition(".")[2], text)))
    return shortened(", ".join(parts), MAX_NAME)


def _number(group: Group, key: str) -> float | None:
    """The value of ``key``. None: it is not a number, or no axis reaches so far."""
    try:
        number = float(group.overrides[key])
    except (KeyError, ValueError):
        return None
    return number if abs(number) < MAX_NUMBER else None
