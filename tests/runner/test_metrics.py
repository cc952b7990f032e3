"""Statistics of rows, against values by hand."""

from __future__ import annotations

import math

import msgspec
import pytest

from mnist_lite.runner import metrics

CHANCE = math.log(10)


def evaluation(epoch: int, test: float, end: bool = True, holdout: float | None = None) -> dict[str, float]:
    row = {"step": epoch, "epoch": epoch, "epoch_end": end, "train/epoch_accuracy": 50.0, "test/accuracy": test}
    row |= {} if holdout is None else {"holdout/accuracy": holdout}
    return {**row, "train/epoch_loss": 1.0, "seconds/train": 2.0, "seconds/eval": 1.0}


STEP = {"step": 9, "train/loss": 1.0}
ROWS = [evaluation(1, 99.9, end=False), evaluation(1, 90.0), evaluation(2, 95.0), evaluation(3, 93.0), STEP]


def test_final_is_of_the_last_epoch_and_best_of_all_evaluations():
    accuracy = metrics.accuracies(ROWS)
    assert msgspec.to_builtins(accuracy.test) == {
        "first_epoch": 90,
        "final": 93,
        "best": 99.9,
        "best_epoch": 1,
        "mean_last_5": None,
        "by_epoch": [90, 95, 93],
    }
    assert accuracy.holdout is None and accuracy.selected is None


def test_the_mean_is_over_the_last_5_epochs():
    rows = [*ROWS, evaluation(4, 94.0), evaluation(5, 96.0), evaluation(6, 97.0)]
    accuracy = metrics.accuracies(rows)
    assert accuracy.test.mean_last_5 == pytest.approx((95 + 93 + 94 + 96 + 97) / 5)


def test_an_epoch_without_a_row_is_none():
    rows = [evaluation(epoch, 90.0 + epoch) for epoch in (2, 3, 5, 6, 7)]
    test = metrics.accuracies(rows).test
    assert test.by_epoch == [None, 92, 93, None, 95, 96, 97]
    assert (test.first_epoch, test.mean_last_5, test.final) == (None, None, 97)


def test_selected_is_the_evaluation_with_the_best_holdout_accuracy():
    rows = [evaluation(1, 90.0, holdout=80.0), evaluation(2, 88.0, holdout=85.0)]
    accuracy = metrics.accuracies([*rows, evaluation(3, 99.0, holdout=85.0)])
    assert accuracy.selected == metrics.Selected(2, 88.0)
    assert accuracy.holdout is not None and (accuracy.holdout.best, accuracy.holdout.best_epoch) == (85, 2)


def test_times_are_sums():
    assert metrics.seconds(ROWS) == metrics.Seconds(train=6.0, eval=4.0)


@pytest.mark.parametrize(
    ("train", "test", "steps", "dead"),
    [
        (CHANCE, CHANCE, 469, True),
        (2.2, CHANCE, 469, False),
        (CHANCE, 2.2, 469, False),
        (CHANCE, CHANCE, 20, False),
        (2.3006, 2.2955, 469, False),
    ],
)
def test_a_dead_network_has_a_loss_of_ln_10(train, test, steps, dead):
    assert metrics.has_died({"epoch_end": True, "train/epoch_loss": train, "test/loss": test}, steps) is dead
