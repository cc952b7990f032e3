"""Pictures of a sweep: accuracy against what was varied, all curves, accuracy against parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_lite import files
from mnist_lite.model.budget import describe_test_set
from mnist_lite.reporting import png
from mnist_lite.runner.metrics import epoch_ends
from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.sweeps.table import Group, Row, groups, measured_on, selection_split, varied_keys

if TYPE_CHECKING:  # imported when a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_CURVES = 20
WIDE_RANGE = 300
"""From here on only the powers of ten are labelled."""
RATES = ("optimizer.lr", "scheduler.max_lr")


def write_curves(folder: Path, rows: Sequence[Row]) -> None:
    """Writes ``curves.png``, if a job is done.

    Raises:
        DrawingError: it cannot be drawn.
        RunError: it cannot be written.
    """
    found = [group for group in groups(rows) if group.estimate is not None]
    if found:
        files.write(folder / "curves.png", png.draw(lambda: _curves(folder, found, _test_images(rows))))


def write_comparisons(folder: Path, rows: Sequence[Row]) -> list[str]:
    """Writes the pictures of a grid that it has figures for; their names.

    ``accuracy_by_<key>.png`` for each varied number (learning rates on a logarithmic axis) and, if networks differ,
    ``accuracy_by_parameters.png``.

    Raises:
        DrawingError: one cannot be drawn.
        RunError: one cannot be written.
    """
    found = [group for group in groups(rows) if group.estimate is not None]
    pictures: dict[str, Callable[[], Figure]] = {}
    label = f"final {selection_split(rows)} accuracy, %\non {' and '.join(measured_on(rows))}"
    for key in varied_keys(found):
        if len({value for group in found if (value := _number(group.overrides.get(key))) is not None}) > 1:
            pictures[f"accuracy_by_{key}.png"] = partial(_by_number, found, key, label)
    if len({group.rows[0].parameters for group in found}) > 1:
        pictures["accuracy_by_parameters.png"] = partial(_by_parameters, found, label)
    for name, make in pictures.items():
        files.write(folder / name, png.draw(make))
    return list(pictures)


def _by_number(found: Sequence[Group], key: str, label: str) -> Figure:
    """A line for each group of the other varied keys; bars are 95 % intervals of the mean over seeds."""
    figure, axes = _canvas(key, label)
    others = [other for other in varied_keys(found) if other != key]
    lines: dict[str, list[tuple[float, Group]]] = {}
    for group in found:
        value = _number(group.overrides.get(key))
        if value is not None:
            lines.setdefault(_name(group, others), []).append((value, group))
    for name, points in lines.items():
        points.sort(key=lambda point: point[0])
        x = [value for value, _ in points]
        _errorbars(axes, x, [group for _, group in points], name or None, "-")
    if key in RATES or key.endswith("weight_decay"):
        positive = [value for points in lines.values() for value, _ in points]
        if min(positive) > 0:
            logarithmic(axes)
    if others:
        axes.legend(fontsize=8)
    return figure


def _by_parameters(found: Sequence[Group], label: str) -> Figure:
    figure, axes = _canvas("parameters", label)
    keys = varied_keys(found)
    for group in found:
        _errorbars(axes, [float(group.rows[0].parameters or 0)], [group], _name(group, keys), "")
    axes.set_xscale("log")
    axes.legend(fontsize=8)
    return figure


def _test_images(rows: Sequence[Row]) -> str:
    """The test images of all finished jobs in words."""
    done = [row for row in rows if row.data is not None]
    return " and ".join(dict.fromkeys(describe_test_set(str(row.data), row.test_images or 0) for row in done))


def _curves(folder: Path, found: Sequence[Group], images: str) -> Figure:
    """Test accuracy after each epoch: the mean over seeds, and the range from the worst to the best of them."""
    figure, axes = _canvas("epoch", f"test accuracy, %\non {images}")
    keys = varied_keys(found)
    shown = sorted(found, key=lambda group: group.estimate.mean if group.estimate else 0.0, reverse=True)[:MAX_CURVES]
    floor = 100.0
    for group in shown:
        runs = [_epochs(folder / row.folder) for row in group.rows if row.final is not None and row.folder]
        runs = [run for run in runs if run]
        if not runs:
            continue
        length = min(map(len, runs))
        columns = list(zip(*(run[:length] for run in runs), strict=True))
        means = [sum(column) / len(column) for column in columns]
        epochs = list(range(1, length + 1))
        marker = "o" if length == 1 else None  # a line of one point is invisible, and so is an area of no width
        (line,) = axes.plot(epochs, means, label=_name(group, keys) or None, linewidth=1.4, marker=marker)
        if len(runs) > 1:
            low, high = [min(column) for column in columns], [max(column) for column in columns]
            if length == 1:
                axes.vlines(epochs, low, high, color=line.get_color(), linewidth=1.2)
            axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        floor = min(floor, sorted(means)[length // 4])
    axes.set_ylim(bottom=max(0.0, floor - 2), top=min(100.0, max(g.estimate.mean for g in shown if g.estimate) + 1))
    if len(shown) < len(found):
        axes.set_title(f"the {len(shown)} best of {len(found)} groups", fontsize=9)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="lower right")
    return figure


def logarithmic(axes: Axes) -> None:
    """Gives ``axes`` a logarithmic x axis with the ticks that people write: 0.001, 0.003, 0.01."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > WIDE_RANGE * low else (1.0, 3.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _errorbars(axes: Axes, x: list[float], points: Sequence[Group], label: str | None, style: str) -> None:
    estimates = [group.estimate for group in points if group.estimate is not None]
    means = [e.mean for e in estimates]
    below = [e.mean - e.low if e.low is not None else 0.0 for e in estimates]
    above = [e.high - e.mean if e.high is not None else 0.0 for e in estimates]
    axes.errorbar(x, means, yerr=[below, above], fmt=f"o{style}", label=label, capsize=3, markersize=4, linewidth=1.2)


def _canvas(x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes


def _epochs(folder: Path) -> list[float]:
    """Test accuracy after each epoch. Empty if ``metrics.jsonl`` cannot be read."""
    try:
        return [row["test/accuracy"] for row in epoch_ends(read_evaluations(folder))]
    except (OSError, ValueError):
        return []


def _name(group: Group, keys: Sequence[str]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {group.overrides[key]}" for key in keys if key in group.overrides)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
