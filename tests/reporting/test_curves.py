"""The curves of a run."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.image import imread

from mnist_lite.reporting import curves

STEP = {"step": 1, "epoch": 1, "lr": 0.1, "train/loss": 2.0, "train/accuracy": 10.0}
TEST = {"step": 1, "epoch": 1, "test/loss": 2.0, "test/accuracy": 12.0}


def test_smoothing_is_the_mean_of_the_last_values():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert curves.smooth(values, 2) == [1.0, 1.5, 2.5, 3.5, 4.5]
    assert curves.smooth(values, 10) == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert curves.smooth([], 3) == []


def test_the_curves_of_one_step_are_points(monkeypatch: pytest.MonkeyPatch):
    """A line through one step has no length, so it would not be seen."""
    drawn: list[Any] = []

    def keep(make: Callable[[], Any]) -> bytes:
        drawn.append(make())
        return b"a picture"

    monkeypatch.setattr("mnist_lite.reporting.png.draw", keep)
    for rows in ([STEP], [STEP, {**STEP, "step": 2}]):
        curves.draw(rows, "")
    markers = [[axes.lines[-1].get_marker() for axes in figure.axes] for figure in drawn]
    assert markers == [["o"] * 3, ["None"] * 3]


@pytest.mark.parametrize("window", [1, 2])
def test_one_huge_loss_does_not_change_the_later_means(window: int):
    """A running sum would lose the small values in the rounding of 2.4e21, and show 0 ever after."""
    assert curves.smooth([2.5, 2.4e21, 2.3, 2.3, 2.3], window)[-2:] == pytest.approx([2.3, 2.3])


@pytest.mark.parametrize(
    "rows",
    [[], [STEP], [STEP, {**TEST, "holdout/loss": 1.0, "holdout/accuracy": 9.0}]],
    ids=["no step", "one step", "one evaluation"],
)
def test_curves_of_a_run_that_has_just_begun(rows, recwarn: pytest.WarningsRecorder):
    assert imread(io.BytesIO(curves.draw(rows, "title", 99.4)), format="png").shape[0] > 500
    assert not list(recwarn)
