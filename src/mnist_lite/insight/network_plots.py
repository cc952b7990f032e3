"""Pictures of a network as PNG: class maps of mistakes, the filters of the first layer, the feature maps of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from mnist_lite.insight.activations import layers_with_modules
from mnist_lite.insight.class_maps import ClassMaps, exact_class_maps, grad_cam
from mnist_lite.insight.evaluation import Mistake
from mnist_lite.insight.evaluation_plots import describe_mistake
from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.model.build import INPUT_SHAPE, Layer, Network
from mnist_lite.reporting import png

if TYPE_CHECKING:  # imported when a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_FILTERS = 64
MAX_CHANNELS = 16
"""Channels of a layer in the picture of the feature maps."""
MAX_ROWS = 30
"""Layers in the picture of the feature maps."""
NOT_DRAWN = ("Dropout", "Dropout2d", "Identity", "Flatten", "BatchNorm2d", "BatchNorm1d", "GhostBatchNorm2d")
"""The kinds of layers that are not in the picture of the feature maps."""
OUTLINE = 127
"""The grey level of the outline of a digit, in 0..255."""
EVIDENCE = "cividis"
"""Matplotlib's colours for class maps: bright is high. They are made for colour-blind people, and are ordered in grey, too."""


def draw_class_maps(
    mistakes: Sequence[Mistake], images: torch.Tensor, kinds: Sequence[tuple[str, ClassMaps]], title: str
) -> bytes:
    """The maps of the true and of the predicted class, for each of ``mistakes``.

    ``images`` ``(N, 1, 28, 28)`` uint8 are those of the ``mistakes``. Each of ``kinds`` has a name and the maps of the images.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _class_maps(mistakes, images, kinds, title))


def class_maps_of(run: SavedRun, images: torch.Tensor) -> list[tuple[str, ClassMaps]]:
    """The kinds of maps for ``draw_class_maps``: exact maps, and Grad-CAM if there are none or if they are too small."""
    exact = exact_class_maps(run, images)
    kinds = [] if exact is None else [("exact class maps", exact)]
    if (exact is None or exact.small) and (other := grad_cam(run, images)):
        kinds.append(("Grad-CAM", other))
    return kinds


def first_filters(network: Network) -> torch.Tensor | None:
    """The filters of the first layer with weights: ``(filters, H, W)`` float32. None: it takes another input than the image."""
    for _, module in layers_with_modules(network):
        if isinstance(module, nn.Conv2d):
            return module.weight[:, 0] if module.in_channels == 1 else None
        if isinstance(module, nn.Linear):
            side = INPUT_SHAPE[1:]
            return module.weight.reshape(-1, *side) if module.in_features == math.prod(side) else None
    return None


def draw_filters(filters: torch.Tensor, title: str) -> bytes:
    """``filters`` ``(filters, H, W)``. Grey is 0, white is positive, black is negative.

    Raises:
        DrawingError: matplotlib fails.
    """
    return png.draw(lambda: _filters(filters.numpy(), title))


def draw_feature_maps(image: torch.Tensor, maps: Sequence[tuple[Layer, torch.Tensor]], title: str) -> bytes:
    """The ``image`` ``(1, 28, 28)`` uint8, and below it one row for each layer of ``maps``: see ``activations.feature_maps``.

    Each row has its own scale: black is the smallest value of the layer, white is the largest. Single values are squares.
    Layers that change nothing in evaluation, or only the scale of each channel, are left out.

    Raises:
        DrawingError: matplotlib fails.
    """
    shown = [(layer, values) for layer, values in maps if layer.kind not in NOT_DRAWN]
    return png.draw(lambda: _feature_maps(image, shown, title))


def _class_maps(
    mistakes: Sequence[Mistake], images: torch.Tensor, kinds: Sequence[tuple[str, ClassMaps]], title: str
) -> Figure:
    from matplotlib.figure import Figure

    columns = 1 + 2 * len(kinds)
    figure = Figure(figsize=(1.75 * columns, 1.95 * len(mistakes) + 0.9), layout="constrained")
    panels = figure.subplots(len(mistakes), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    for row, mistake in enumerate(mistakes):
        digit = images[row, 0].numpy()
        panels[row, 0].imshow(digit, cmap="gray_r", vmin=0, vmax=255)
        panels[row, 0].set_title(describe_mistake(mistake), fontsize=7)
        classes = {"true": mistake.true, "predicted": mistake.predicted}
        for kind, (_, maps) in enumerate(kinds):
            both = maps.maps[row, list(classes.values())].numpy()
            for side, (word, digit_class) in enumerate(classes.items()):
                axes, values = panels[row, 1 + 2 * kind + side], both[side]
                scale = both if maps.exact else values  # the values of Grad-CAM have no unit
                limits = float(scale.min()), float(scale.max())
                if maps.small:
                    _print_cells(axes, values, limits)
                else:
                    _place_on_digit(axes, values, limits, maps.extent, digit)
                logit = f"\nmean = logit = {values.mean():.2f}" if maps.exact else ""
                axes.set_title(f"for {digit_class} ({word}){logit}", fontsize=7)
    notes = [
        f"{name}: {maps.maps.shape[2]} x {maps.maps.shape[3]} cells, each sees {maps.field} x {maps.field} pixels"
        for name, maps in kinds
    ]
    figure.suptitle("\n".join([title, *notes]), fontsize=9)
    return figure


def _print_cells(axes: Axes, values: np.ndarray, limits: tuple[float, float]) -> None:
    """The cells of a small map with their values, in the whole panel."""
    axes.imshow(values, cmap=EVIDENCE, vmin=limits[0], vmax=limits[1])
    for y, x in np.ndindex(values.shape):
        dark = values[y, x] < (limits[0] + limits[1]) / 2
        text = f"{values[y, x]:.1f}".replace("-0.0", "0.0")
        axes.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )


def _place_on_digit(
    axes: Axes, values: np.ndarray, limits: tuple[float, float], extent: tuple[float, float], digit: np.ndarray
) -> None:
    """A map at its place in the image, with the outline of the digit: a white line on a black one, to be seen on every colour."""
    axes.imshow(digit, cmap="gray_r", vmin=0, vmax=510)
    start, end = extent
    axes.imshow(values, cmap=EVIDENCE, vmin=limits[0], vmax=limits[1], extent=(start, end, end, start))
    if digit.min() < OUTLINE < digit.max():
        for color, width in (("black", 1.8), ("white", 0.7)):
            axes.contour(digit, levels=[OUTLINE], colors=color, linewidths=width)
    axes.set_xlim(-0.5, digit.shape[1] - 0.5)
    axes.set_ylim(digit.shape[0] - 0.5, -0.5)


def _filters(filters: np.ndarray, title: str) -> Figure:
    from matplotlib.figure import Figure

    shown = filters[:MAX_FILTERS]
    columns = min(len(shown), 10)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(columns + 1.4, rows + 1.0), layout="constrained")
    axes = figure.subplots()
    limit = max(float(np.abs(shown).max()), 1e-12)
    for number, values in enumerate(shown):
        row, column = divmod(number, columns)
        extent = (column, column + 0.92, row + 0.92, row)
        shades = axes.imshow(values, cmap="gray", vmin=-limit, vmax=limit, extent=extent)
        _frame(axes, column, row, 0.92)
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.axis("off")
    figure.colorbar(shades, shrink=0.9, label="weight")
    of = f"the first {len(shown)} of {len(filters)} filters" if len(shown) < len(filters) else f"{len(filters)} filters"
    size = " x ".join(str(side) for side in filters.shape[1:])
    figure.suptitle(f"{title}\n{of} of the first layer, {size}", fontsize="medium")
    return figure


def _feature_maps(image: torch.Tensor, maps: Sequence[tuple[Layer, torch.Tensor]], title: str) -> Figure:
    from matplotlib.figure import Figure

    hidden = len(maps) - MAX_ROWS
    shown = maps[:MAX_ROWS]
    width = max(min(len(values), MAX_CHANNELS) for _, values in shown)
    figure = Figure(figsize=(0.62 * width + 2.4, 0.66 * (len(shown) + 1) + 0.9), layout="constrained")
    panels = figure.subplots(len(shown) + 1, 1, squeeze=False).flatten()
    for axes in panels:
        axes.set_anchor("W")
        axes.axis("off")
    _row(panels[0], image.numpy(), "the image", width)
    for axes, (layer, values) in zip(panels[1:], shown, strict=True):
        more = len(values) - MAX_CHANNELS
        name = f"{layer.number} {layer.text}"
        name = name if len(name) <= 24 else f"{name[:23]}..."
        size = " x ".join(str(side) for side in layer.output)
        _row(
            axes, values[:MAX_CHANNELS].numpy(), f"{name}\n{size}" + (f", {more} not shown" if more > 0 else ""), width
        )
    note = "each layer has its own scale: black is its smallest value, white its largest"
    note += f"; the last {hidden} layers are not shown" if hidden > 0 else ""
    figure.suptitle(f"{title}\n{note}", fontsize="medium")
    return figure


def _row(axes: Axes, values: np.ndarray, label: str, width: int) -> None:
    """The channels of ``values`` ``(C, H, W)`` or ``(C,)`` side by side, in a row with room for ``width`` channels."""
    maps = values.reshape(len(values), *(values.shape[1:] or (1, 1)))
    for channel, one in enumerate(maps):
        axes.imshow(
            one,
            cmap="gray",
            vmin=float(values.min()),
            vmax=float(values.max()) or 1.0,
            extent=(channel, channel + 0.94, 0, 0.94),
            interpolation="nearest",
        )
        _frame(axes, channel, 0, 0.94)
    axes.set_xlim(0, width)
    axes.set_ylim(0, 0.94)
    axes.set_aspect("equal")
    axes.text(-0.15, 0.47, label, ha="right", va="center", fontsize=7)


def _frame(axes: Axes, x: float, y: float, side: float) -> None:
    """A thin frame around a map: white values could not be seen on white paper."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor="0.6", linewidth=0.6))
