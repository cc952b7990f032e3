"""The labels of x axes."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnist_lite.reporting.axes import use_logarithmic_x, use_whole_numbers


def plot(values: list[float]) -> Axes:
    axes = Figure().subplots()
    axes.plot(values, [0.0] * len(values))
    return axes


def labels(axes: Axes) -> list[float]:
    """The values that have labels inside the picture."""
    low, high = axes.get_xlim()
    return [float(tick) for tick in axes.get_xticks() if low <= tick <= high]


@pytest.mark.parametrize("last", [2, 3, 40])
def test_steps_and_epochs_have_whole_numbers(last: int):
    axes = plot([1, last])
    assert last == 40 or not all(tick.is_integer() for tick in labels(axes))  # without the rule
    use_whole_numbers(axes)
    assert labels(axes)
    assert all(tick.is_integer() for tick in labels(axes))


@pytest.mark.parametrize(
    ("drawn", "wanted", "expected"),
    [
        ([0.01, 0.05], [0.01, 0.05], [0.01, 0.05]),
        ([0.01, 0.1], [0.01, 0.0101, 0.1], [0.01, 0.03, 0.1]),  # no room for the first two
        ([0.001, 0.1], [], [0.001, 0.003, 0.01, 0.03, 0.1]),
        ([1e-5, 1.0], [], [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]),  # no room for more than the powers of ten
    ],
)
def test_a_logarithmic_axis_has_the_wanted_labels_if_they_have_room(
    drawn: list[float], wanted: list[float], expected: list[float]
):
    axes = plot(drawn)
    use_logarithmic_x(axes, wanted)
    assert labels(axes) == pytest.approx(expected)
