"""The curves of a run: accuracy, loss and learning rate against the training step, as a PNG file.

Input: rows of ``metrics.jsonl``. Output: the bytes of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_lite.reporting import png
from mnist_lite.reporting.axes import use_whole_numbers

if TYPE_CHECKING:  # matplotlib is imported when a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, float]]

TRAIN, TEST, HOLDOUT = "tab:blue", "tab:red", "tab:green"


def draw(rows: Rows, title: str, target: float | None = None) -> bytes:
    """A PNG with the curves of ``rows``. ``target`` is an accuracy in percent: a dashed line.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _figure(rows, title, target))


def smooth(values: Sequence[float], window: int) -> list[float]:
    """At each index, the mean of the last ``window`` values. At the start, the mean of all values so far."""
    # Each sum has only the values of its window. A running sum would keep the rounding error of one huge value for ever.
    if not values:
        return []
    sums = np.convolve(np.asarray(values, dtype=np.float64), np.ones(window))[: len(values)]
    counts = np.minimum(np.arange(1, len(values) + 1), window)
    return list((sums / counts).tolist())


def _figure(rows: Rows, title: str, target: float | None) -> Figure:
    from matplotlib.figure import Figure

    steps = [row for row in rows if "train/loss" in row]
    evaluations = [row for row in rows if "test/loss" in row]
    figure = Figure(figsize=(9, 9.5), layout="constrained")
    accuracy, loss, lr = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    for axes, key, unit in ((accuracy, "accuracy", "accuracy in %"), (loss, "loss", "cross-entropy")):
        _plot_steps(axes, steps, f"train/{key}")
        _plot_evaluations(axes, evaluations, f"test/{key}", TEST)
        _plot_evaluations(axes, evaluations, f"holdout/{key}", HOLDOUT)
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
    _zoom(accuracy, evaluations)
    if target is not None:
        accuracy.axhline(target, color="gray", linestyle="--", linewidth=1, label=f"required: {target:g} %")
    accuracy.legend(loc="lower right", fontsize="small")
    accuracy.set_title(title, fontsize="medium")
    if rows:  # matplotlib refuses a logarithmic axis without data
        loss.set_yscale("log")
    loss.legend(loc="upper right", fontsize="small")
    lr.plot([row["step"] for row in steps], [row["lr"] for row in steps], _line(steps), color="black", linewidth=1)
    lr.set_ylabel("learning rate")
    lr.set_ylim(bottom=0)
    lr.set_xlabel("training step")
    use_whole_numbers(lr)
    lr.grid(alpha=0.3)
    return figure


def _plot_steps(axes: Axes, steps: Rows, key: str) -> None:
    """The metric ``key`` of every step in a pale color, and its moving mean."""
    window = max(1, len(steps) // 60)
    x, y = [row["step"] for row in steps], [row[key] for row in steps]
    label = key if window == 1 else f"{key} (mean of {window} steps; pale: each step)"
    axes.plot(x, y, color=TRAIN, alpha=0.18, linewidth=0.6)
    axes.plot(x, smooth(y, window), _line(steps), color=TRAIN, linewidth=1.4, label=label)


def _line(steps: Rows) -> str:
    """matplotlib's format of a line over ``steps``. A single step is a point, because a line through it has no length."""
    return "o" if len(steps) == 1 else "-"


def _plot_evaluations(axes: Axes, evaluations: Rows, key: str, color: str) -> None:
    rows = [row for row in evaluations if key in row]
    if rows:
        x, y = [row["step"] for row in rows], [row[key] for row in rows]
        axes.plot(x, y, color=color, marker="o", markersize=3.5, linewidth=1.2, label=key)


def _zoom(axes: Axes, evaluations: Rows) -> None:
    """Shows the top of the accuracy axis, where good networks differ. The first steps may be below the picture."""
    accuracies = [row["test/accuracy"] for row in evaluations]
    if accuracies:
        bottom = max(0.0, 100 - 3 * max(100 - min(accuracies[1:] or accuracies), 0.6))
        axes.set_ylim(bottom, 100 + 0.03 * (100 - bottom))
