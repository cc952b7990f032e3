"""Statistics of the rows of a run: accuracies and times. ``metrics_file.py`` reads the rows from the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

if TYPE_CHECKING:  # it imports torch
    from mnist_lite.training.step_metrics import Row

Percent = Annotated[float, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
CHANCE_LOSS = math.log(10)
LAST_EPOCHS = 5
MIN_STEPS = 100


class SplitAccuracy(Struct, frozen=True):
    """Accuracies of one split, in percent. None: the row of an epoch is missing, or there are too few epochs."""

    first_epoch: Percent | None
    final: Percent
    """At the end of the last epoch."""
    best: Percent
    """The highest of all evaluations. For the test split, it was selected on the test images, so it is too optimistic."""
    best_epoch: Count
    """The first epoch that has this accuracy."""
    mean_last_5: Percent | None
    """The mean over the last 5 epochs."""


class AccuracyByEpoch(SplitAccuracy, frozen=True):
    """``SplitAccuracy``, and the accuracy at the end of each epoch."""

    by_epoch: list[Percent | None]


class Selected(Struct, frozen=True):
    """The evaluation with the highest holdout accuracy."""

    epoch: Count
    test: Percent
    """Its test accuracy in percent."""


class Accuracy(Struct, frozen=True, omit_defaults=True):
    """The accuracies of a run. None: the run has no held-out images."""

    test: AccuracyByEpoch
    train: SplitAccuracy
    holdout: SplitAccuracy | None = None
    selected: Selected | None = None


class Seconds(Struct, frozen=True):
    """The time of a run, without start and checkpoints."""

    train: Annotated[float, Meta(ge=0)]
    eval: Annotated[float, Meta(ge=0)]


def accuracies(rows: Sequence[Row]) -> Accuracy:
    """The accuracies of a run with one evaluation or more. ``rows`` are those of ``metrics.jsonl``."""
    evaluations = [row for row in rows if "test/accuracy" in row]
    by_epoch = {int(row["epoch"]): row["test/accuracy"] for row in epoch_ends(evaluations)}
    test = AccuracyByEpoch(
        **_split(evaluations, "test/accuracy"), by_epoch=[by_epoch.get(epoch) for epoch in range(1, max(by_epoch) + 1)]
    )
    train = SplitAccuracy(**_split(evaluations, "train/epoch_accuracy"))
    if "holdout/accuracy" not in evaluations[0]:
        return Accuracy(test, train)
    best = max(evaluations, key=lambda row: row["holdout/accuracy"])
    holdout = SplitAccuracy(**_split(evaluations, "holdout/accuracy"))
    return Accuracy(test, train, holdout, Selected(int(best["epoch"]), best["test/accuracy"]))


def epoch_ends(rows: Sequence[Row]) -> list[Row]:
    """The last evaluation of each epoch: at its end or, in the last epoch, where ``stop_at_accuracy`` ended the run."""
    return list({row["epoch"]: row for row in rows if "test/accuracy" in row}.values())


def seconds(rows: Sequence[Row]) -> Seconds:
    """The time of training and of evaluation, over all epochs."""
    return Seconds(
        train=sum(row["seconds/train"] for row in epoch_ends(rows)),
        eval=sum(row["seconds/eval"] for row in rows if "seconds/eval" in row),
    )


def has_died(row: Row, steps: int) -> bool:
    """Whether the network gives every class the same probability. ``row`` is the evaluation after an epoch of ``steps`` steps.

    The cross-entropy is then ln 10 = 2.303. Both the mean of the epoch and the test loss must have this value, because
    a network that learns slowly at first has other values: step3 with seed 0 had 2.3006 and 2.2955 after an epoch, and
    learned in the next.
    """
    at_chance = abs(row["train/epoch_loss"] - CHANCE_LOSS) < 0.01 and abs(row["test/loss"] - CHANCE_LOSS) < 0.002
    return bool(row["epoch_end"]) and steps >= MIN_STEPS and at_chance


def _split(evaluations: Sequence[Row], key: str) -> dict[str, Any]:
    """The fields of ``SplitAccuracy`` for the metric ``key``."""
    ends = epoch_ends(evaluations)
    values = [row[key] for row in ends]
    best = max(evaluations, key=lambda row: row[key])
    last = ends[-LAST_EPOCHS:]
    complete = len(last) == LAST_EPOCHS and last[0]["epoch"] == last[-1]["epoch"] - LAST_EPOCHS + 1
    return {
        "first_epoch": values[0] if ends[0]["epoch"] == 1 else None,
        "final": values[-1],
        "best": best[key],
        "best_epoch": int(best["epoch"]),
        "mean_last_5": fmean(values[-LAST_EPOCHS:]) if complete else None,
    }
