"""The learning-rate range test: some training steps at rates that grow exponentially, and what their losses suggest.

The test is from Leslie N. Smith, "Cyclical Learning Rates for Training Neural Networks" (2017). It is an ordinary training with
another schedule, so it uses the same loop, augmentation, batch size and kernels as the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mnist_lite.config.schema import Config
from mnist_lite.data.dataset import possible_counts
from mnist_lite.errors import RunError
from mnist_lite.training.step_metrics import Row
from mnist_lite.training.trainer import DivergedError, Trainer

AUTO = "auto"
"""The value of ``optimizer.lr`` that stands for the first suggestion."""
EXPLODED = 3.0
"""The test ends when a loss is this many times the first loss: all larger rates are too large."""
SMOOTHING = 0.04
"""The standard deviation of the Gaussian that smooths the losses, as a part of the steps of the test."""
BURN_IN = 0.1
"""The part of the steps at the start that gives no suggestion. Batch norm and momentum are not stable there yet."""
LEAST_FALL = 0.1
"""The part of its first value that the smoothed loss must lose. Otherwise nothing was learned, and nothing can be suggested."""


@dataclass(frozen=True)
class RangeTest:
    """The settings of a range test."""

    lr_min: float = 1e-5
    lr_max: float = 10.0
    steps: int = 200


@dataclass(frozen=True)
class LossCurve:
    """The result of a range test."""

    rates: list[float]
    """The learning rate of each step."""
    losses: list[float]
    """The training loss of the batch of each step, before the step changes the weights."""
    burn_in: int
    """The number of steps at the start that no suggestion is taken from."""
    smoothed: list[float]
    """The losses after the burn-in, each replaced by a weighted mean of its neighbours on both sides."""
    steepest: float
    """The rate at which the smoothed loss falls fastest, per factor of the rate."""
    minimum_over_10: float
    """A tenth of the rate at which the smoothed loss is least."""
    valley: float
    """The middle of the longest falling part of the smoothed loss, on a logarithmic axis."""

    @property
    def suggestions(self) -> dict[str, float]:
        """The three suggested rates by name. The first one is what ``optimizer.lr=auto`` uses."""
        return {"steepest slope": self.steepest, "minimum / 10": self.minimum_over_10, "valley": self.valley}

    @property
    def disagreement(self) -> float:
        """The largest suggestion divided by the least one."""
        return max(self.suggestions.values()) / min(self.suggestions.values())


def range_config(config: Config, test: RangeTest) -> Config:
    """The config of a training that does ``test`` with the recipe of ``config``. Its rates grow by the same factor each step."""
    growth = (test.lr_max / test.lr_min) ** (1 / max(1, test.steps - 1))
    steps_per_epoch = math.ceil(min(possible_counts(config.data)) / config.batch_size)
    schedule = {
        "name": "SequentialLR",
        "interval": "step",
        # the second one comes after the test: without it the rates of the rest of the epoch could become infinite
        "schedulers": [
            {"name": "ExponentialLR", "gamma": growth},
            {"name": "ConstantLR", "factor": 1.0, "total_iters": 0},
        ],
        "milestones": [test.steps],
    }
    return replace(
        config,
        optimizer={**config.optimizer, "lr": test.lr_min},
        scheduler=schedule,
        epochs=max(config.epochs, math.ceil(test.steps / steps_per_epoch)),
        ema_decay=None,
        eval_every=None,
        stop_at_accuracy=None,
        budget=replace(config.budget, enforce=False),
    )


def run_range_test(trainer: Trainer, steps: int, on_step: Callable[[], object]) -> LossCurve:
    """Trains at most ``steps`` steps, and calls ``on_step`` after each. ``trainer`` has the config of ``range_config``.

    Raises:
        RunError: the loss did not fall, so there is nothing to suggest.
    """
    rows: list[Row] = []
    try:
        for new in trainer.fit():
            rows += new
            on_step()
            if trainer.step >= steps or _exploded(rows):
                break
        rows += trainer.drain()
    except DivergedError as error:
        rows += error.rows
    rows = [row for row in rows if "train/loss" in row]
    return suggest([row["lr"] for row in rows], [row["train/loss"] for row in rows])


def suggest(rates: list[float], losses: list[float]) -> LossCurve:
    """The curve of a range test with its suggestions, each rounded to three digits. ``rates`` grow by one factor.

    Raises:
        RunError: the loss did not fall, so there is nothing to suggest.
    """
    from scipy.ndimage import gaussian_filter1d  # imported here: it takes 0.4 s, and few runs need it

    burn_in = round(BURN_IN * len(losses))
    after = np.asarray(losses[burn_in:], dtype=np.float64)
    smoothed = gaussian_filter1d(after, max(1.0, SMOOTHING * len(losses)), mode="nearest")
    lowest = int(np.argmin(smoothed))
    if lowest == 0 or smoothed[lowest] > (1 - LEAST_FALL) * smoothed[0]:
        raise RunError(
            f"lr_find: the loss did not fall in {len(losses)} steps, so no learning rate can be suggested; give optimizer.lr a "
            "number, or try other rates (mnist-lite lr_find lr_min=... lr_max=...)"
        )
    first, last = longest_fall(smoothed)
    tried = rates[burn_in:]
    picked = {
        "steepest": tried[int(np.argmin(np.gradient(smoothed)[: lowest + 1]))],
        "minimum_over_10": tried[lowest] / 10,
        "valley": math.sqrt(tried[first] * tried[last]),
    }
    rounded = {name: float(f"{rate:.3g}") for name, rate in picked.items()}
    return LossCurve(rates, losses, burn_in, smoothed.tolist(), **rounded)


def longest_fall(values: npt.NDArray[np.float64]) -> tuple[int, int]:
    """The first and the last index of the longest falling subsequence of ``values``, as in fastai's ``valley``."""
    lengths, starts = np.ones(len(values), dtype=int), np.arange(len(values))
    for i in range(1, len(values)):
        above = np.flatnonzero(values[:i] > values[i])
        if len(above):
            best = above[np.argmax(lengths[above])]
            lengths[i], starts[i] = lengths[best] + 1, starts[best]
    last = int(np.argmax(lengths))
    return int(starts[last]), last


def with_rate(config: Config, rate: float) -> Config:
    """``config`` with the learning rate ``rate`` in place of ``auto``. A scheduler may repeat the rate, as in ``max_lr``."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return rate if value == AUTO else value

    return replace(config, optimizer=replaced(config.optimizer), scheduler=replaced(config.scheduler))


def _exploded(rows: list[Row]) -> bool:
    losses = [row["train/loss"] for row in (rows[0], rows[-1]) if "train/loss" in row] if rows else []
    return len(losses) == 2 and losses[1] > EXPLODED * losses[0]
