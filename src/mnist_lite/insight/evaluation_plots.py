"""Pictures of an evaluation as PNG: the confusion matrix, the reliability diagram, the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from mnist_lite.insight.evaluation import Evaluation, Mistake
from mnist_lite.reporting import png

if TYPE_CHECKING:  # imported when a picture is drawn
    from matplotlib.figure import Figure

BLUE = "#0072B2"
"""Of Okabe and Ito's colours, which colour-blind people can tell apart."""
GALLERY_COLUMNS, GALLERY_ROWS = 6, 4
MIN_IMAGES = 10
"""Bins with fewer images have hollow points in the reliability diagram: their accuracy says little."""


def draw_confusion(test: Evaluation, title: str) -> bytes:
    """The confusion matrix. Only the mistakes are coloured: the darker, the more images.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _confusion(test, title))


def draw_reliability(test: Evaluation, title: str) -> bytes:
    """The accuracy of each bin of confidence, and below it the images of each bin.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _reliability(test, title))


def draw_mistakes(test: Evaluation, images: torch.Tensor, title: str) -> bytes:
    """The mistakes with the highest loss. ``images`` ``(N, 1, 28, 28)`` uint8 are those that were evaluated.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _gallery(test, images, title))


def describe_mistake(mistake: Mistake) -> str:
    """Three lines: the true class and its confidence, the predicted class and its confidence, the loss."""
    return (
        f"image {mistake.index}\nis {mistake.true}: {percent(mistake.true_confidence)}\n"
        f"taken for {mistake.predicted}: {percent(mistake.predicted_confidence)}\nloss {mistake.loss:.2f}"
    )


def percent(share: float) -> str:
    """``share`` in 0..1 as text: ``96.2 %``, ``0.03 %``, ``2e-05 %``."""
    value = 100 * share
    return f"{value:.1f} %" if value >= 0.95 else f"{value:.1g} %"


def _confusion(test: Evaluation, title: str) -> Figure:
    from matplotlib.figure import Figure

    counts = np.array(test.confusion)
    mistakes = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    figure = Figure(figsize=(7.2, 6.6), layout="constrained")
    axes = figure.subplots()
    shades = axes.imshow(mistakes, cmap="Greys", vmin=0, vmax=max(1, mistakes.max()))
    for true, predicted in np.ndindex(counts.shape):
        count = counts[true, predicted]
        if count:
            dark = mistakes[true, predicted] > 0.55 * mistakes.max()
            axes.text(
                predicted,
                true,
                str(count),
                ha="center",
                va="center",
                fontsize=9,
                color="white" if dark else "black",
                weight="bold" if true == predicted else "normal",
            )
    for digit in range(len(counts)):
        low, high = digit - 0.45, digit + 0.45
        axes.plot([low, high, high, low, low], [low, low, high, high, low], color=BLUE, linewidth=1.5)
    axes.set_xticks(range(len(counts)))
    axes.set_yticks(range(len(counts)))
    axes.set_xlabel("predicted digit")
    axes.set_ylabel("true digit")
    axes.set_title(f"{title}\n{test.accuracy:.2f} % right, {len(test.mistakes):,} mistakes", fontsize="medium")
    figure.colorbar(shades, shrink=0.8, label="mistakes (the framed diagonal is right)")
    return figure


def _reliability(test: Evaluation, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 7.4), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1, label="confidence = accuracy")
    labels = {True: f"accuracy, fewer than {MIN_IMAGES} images", False: "accuracy, with 95 % interval (Wilson)"}
    for b in test.bins:
        if b.confidence is None or b.accuracy is None or b.interval is None:
            continue
        few = b.images < MIN_IMAGES
        axes.errorbar(
            b.confidence,
            b.accuracy,
            [[b.accuracy - b.interval[0]], [b.interval[1] - b.accuracy]],
            fmt="o",
            color=BLUE,
            markerfacecolor="white" if few else BLUE,
            capsize=3,
            linewidth=1,
            label=labels.pop(few, None),
        )
    for edge in (b.low for b in test.bins):
        axes.axvline(edge, color="0.9", linewidth=0.6, zorder=0)
    axes.set_ylabel("accuracy")
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(f"{title}\nECE {test.ece:.2f} % in {len(test.bins)} bins", fontsize="medium")
    axes.legend(fontsize="small", loc="lower right")
    width = test.bins[0].high - test.bins[0].low
    bars = counts.bar([b.low + width / 2 for b in test.bins], [b.images for b in test.bins], 0.9 * width, color="0.6")
    counts.bar_label(bars, [str(b.images) if b.images else "" for b in test.bins], fontsize=7)
    counts.set_yscale("log")
    counts.set_ylim(0.7, 5 * max(b.images for b in test.bins))
    counts.set_ylabel("images")
    counts.set_xlabel("confidence: the probability of the predicted digit")
    counts.set_xlim(0, 1)
    return figure


def _gallery(test: Evaluation, images: torch.Tensor, title: str) -> Figure:
    from matplotlib.figure import Figure

    shown: Sequence[Mistake] = test.mistakes[: GALLERY_COLUMNS * GALLERY_ROWS]
    rows = max(1, -(-len(shown) // GALLERY_COLUMNS))
    figure = Figure(figsize=(1.55 * GALLERY_COLUMNS, 2.1 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, GALLERY_COLUMNS, squeeze=False).flatten()
    for axes in panels:
        axes.axis("off")
    for axes, mistake in zip(panels, shown, strict=False):
        axes.imshow(images[mistake.index, 0].numpy(), cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(describe_mistake(mistake), fontsize=8)
    every = len(shown) == len(test.mistakes)
    which = (
        f"all {len(shown)} mistakes"
        if every
        else f"the {len(shown)} of {len(test.mistakes)} mistakes with the highest loss"
    )
    figure.suptitle(f"{title}\n{which}", fontsize="medium")
    return figure
