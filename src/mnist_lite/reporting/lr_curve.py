"""The curve of a learning-rate range test as a PNG file: the loss against the rate, and the suggested rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mnist_lite.reporting import png

if TYPE_CHECKING:  # matplotlib is imported when a picture is drawn
    from matplotlib.figure import Figure

STYLES = ("-", "--", ":")
"""Lines that differ without colour."""


def draw(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestions: Mapping[str, float],
    title: str,
) -> bytes:
    """A PNG with the loss of each step and its smoothed curve. ``suggestions`` are at most three rates by name.

    ``smoothed`` begins after the burn-in, which is shown in grey.

    Raises:
        DrawingError: matplotlib fails.
    """

    def figure() -> Figure:
        from matplotlib.figure import Figure

        burn_in = len(losses) - len(smoothed)
        result = Figure(figsize=(9, 5), layout="constrained")
        axes = result.subplots()
        axes.plot(rates, losses, color="tab:blue", alpha=0.3, linewidth=0.8, label="loss of each batch")
        axes.plot(rates[burn_in:], smoothed, color="tab:blue", linewidth=2, label="smoothed loss")
        for (name, rate), style in zip(suggestions.items(), STYLES, strict=False):
            axes.axvline(rate, color="black", linestyle=style, linewidth=1.4, label=f"{name}: {rate:g}")
        axes.axvspan(rates[0], rates[burn_in], color="0.92", label="burn-in")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.4 * max(losses[: len(losses) // 2]))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss (cross-entropy)")
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", fontsize="small")
        return result

    return png.draw(figure)
