"""Draws the curves of a run from its rows: accuracy, loss and learning rate against the training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mnist_lite.reporting import png

if TYPE_CHECKING:  # imported when a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, float | int | bool]]

TRAIN, TEST, HOLDOUT = "tab:blue", "tab:red", "tab:green"


def smooth(values: Sequence[float], window: int) -> list[float]:
    """The mean over the last ``window`` values at each place, over as many as there are at the beginning."""
    result, total = [], 0.0
    for index, value in enumerate(values):
        total += value
        if index >= window:
            total -= values[index - window]
        result.append(total / min(index + 1, window))
    return result


def draw(rows: Rows, title: str, target: float | None = None) -> bytes:
    """A PNG. ``rows`` are those of ``metrics.jsonl``; ``target`` is an accuracy in percent to mark.

    Raises:
        DrawingError: it cannot be drawn.
    """
    return png.draw(lambda: _figure(rows, title, target))


def _figure(rows: Rows, title: str, target: float | None) -> Figure:
    from matplotlib.figure import Figure

    steps = [row for row in rows if "train/loss" in row]
    evaluations = [row for row in rows if "test/loss" in row]
    window = max(1, len(steps) // 60)
    figure = Figure(figsize=(9, 9.5), layout="constrained")
    accuracy, loss, lr = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    for axes, key, unit in ((accuracy, "accuracy", "accuracy in %"), (loss, "loss", "cross-entropy")):
        _raw_and_smooth(axes, steps, f"train/{key}", window)
        _points(axes, evaluations, f"test/{key}", TEST)
        _points(axes, evaluations, f"holdout/{key}", HOLDOUT)
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
    _zoom(accuracy, evaluations, target)
    loss.set_yscale("log")
    lr.plot([row["step"] for row in steps], [row["lr"] for row in steps], color="black", linewidth=1)
    lr.set_ylabel("learning rate")
    lr.set_ylim(bottom=0)
    lr.set_xlabel("training step")
    lr.grid(alpha=0.3)
    loss.legend(loc="upper right", fontsize="small")
    accuracy.set_title(title, fontsize="medium")
    return figure


def _raw_and_smooth(axes: Axes, steps: Rows, key: str, window: int) -> None:
    x, y = [row["step"] for row in steps], [float(row[key]) for row in steps]
    label = key if window == 1 else f"{key} (mean of {window} steps, raw behind)"
    axes.plot(x, y, color=TRAIN, alpha=0.18, linewidth=0.6)
    axes.plot(x, smooth(y, window), color=TRAIN, linewidth=1.4, label=label)


def _points(axes: Axes, evaluations: Rows, key: str, color: str) -> None:
    rows = [row for row in evaluations if key in row]
    if rows:
        values = [row[key] for row in rows]
        axes.plot(
            [row["step"] for row in rows], values, color=color, marker="o", markersize=3.5, linewidth=1.2, label=key
        )


def _zoom(axes: Axes, evaluations: Rows, target: float | None) -> None:
    """The top of the accuracy axis is where small networks differ; the first steps may leave the picture below."""
    seen = [float(row["test/accuracy"]) for row in evaluations]
    if not seen:
        return
    bottom = max(0.0, 100 - 3 * max(100 - min(seen[1:] or seen), 0.6))
    axes.set_ylim(bottom, 100 + 0.03 * (100 - bottom))
    if target is not None:
        axes.axhline(target, color="gray", linestyle="--", linewidth=1, label=f"asked for: {target:g} %")
    axes.legend(loc="lower right", fontsize="small")
