"""Receptive fields as a PNG file: for each layer, the theoretical field over a digit, and beside it the weight of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from mnist_lite.reporting import png

if TYPE_CHECKING:  # matplotlib is imported when a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Image = Sequence[Sequence[float]]
PER_LINE = 3
"""Layers in one line of the picture."""


@dataclass(frozen=True)
class Panel:
    """The fields of the value in the middle of the map of one layer."""

    layer: str
    side: int
    """Of the theoretical field. Padding counts."""
    field: tuple[int, int]
    """The first and the last row of the theoretical field within the image. Columns are as rows."""
    effective: tuple[int, int]
    """The same for the effective field."""
    weights: Image
    """The weight of each pixel, ``28 x 28``."""


def draw(panels: Sequence[Panel], digit: Image, share: float, title: str) -> bytes:
    """A PNG with two images for each panel. ``share`` is the part of the weight in the effective field.

    Raises:
        DrawingError: matplotlib fails.
    """

    def figure() -> Figure:
        from matplotlib.figure import Figure

        lines = max(1, ceil(len(panels) / PER_LINE))
        result = Figure(figsize=(3.7 * PER_LINE, 0.9 + 2.2 * lines), layout="constrained")
        result.suptitle(
            f"{title}\nleft: theoretical field; right: weight of each pixel (dark: large), and the square with "
            f"{share:.0%} of it (dashed)".replace("%", " %"),
            fontsize="medium",
        )
        axes = result.subplots(lines, 2 * PER_LINE, squeeze=False).flatten().tolist()
        for each in axes:
            each.set_axis_off()
        for panel, left, right in zip(panels, axes[::2], axes[1::2], strict=False):
            left.imshow(digit, cmap="gray_r")
            left.set_title(f"{panel.layer}\n{panel.side} x {panel.side}", fontsize="small")
            right.imshow(panel.weights, cmap="magma_r", vmin=0)
            right.contour(digit, levels=[128], colors="gray", linewidths=0.5)
            effective = panel.effective[1] - panel.effective[0] + 1
            right.set_title(f"effective:\n{effective} x {effective}", fontsize="small")
            for each in (left, right):
                _square(each, panel.field, "-")
            _square(right, panel.effective, "--")
        return result

    return png.draw(figure)


def _square(axes: Axes, rows: tuple[int, int], style: str) -> None:
    from matplotlib.patches import Rectangle

    first, last = rows
    side = last - first + 1
    square = Rectangle(
        (first - 0.5, first - 0.5), side, side, fill=False, edgecolor="tab:blue", linestyle=style, linewidth=1.8
    )
    square.set_clip_on(False)  # a field as large as the image keeps its whole edge
    axes.add_patch(square)
