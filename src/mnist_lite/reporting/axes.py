"""Rules for the x axes of pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib is imported when a picture is drawn
    from matplotlib.axes import Axes

MAX_LABELS = 9
"""An axis has room for about this many labels."""
WIDE_RANGE = 300
"""An axis whose ends differ by more than this factor has labels at the powers of ten only."""


def use_whole_numbers(axes: Axes) -> None:
    """Gives the x axis labels at whole numbers only, for steps, epochs and trials. Its scale is linear."""
    locator: Any = axes.xaxis.get_major_locator()
    locator.set_params(integer=True)


def use_logarithmic_x(axes: Axes, values: Sequence[float] = ()) -> None:
    """Gives the x axis a logarithmic scale with labels at the sorted ``values``, if all of them have room.

    Otherwise the labels are such as 0.001, 0.003, 0.01.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > WIDE_RANGE * low else (1.0, 3.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    room = (values[-1] / values[0]) ** (1 / MAX_LABELS) if values else 1.0
    if values and all(b >= a * room for a, b in itertools.pairwise(values)):
        axes.set_xticks(values)
