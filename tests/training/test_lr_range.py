"""The range test: its rates, its losses, and its suggestions for curves whose answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import cast

import numpy as np
import pytest

from mnist_lite.config.schema import Config
from mnist_lite.errors import RunError
from mnist_lite.training.lr_range import (
    BURN_IN,
    SMOOTHING,
    LossCurve,
    RangeTest,
    longest_fall,
    range_config,
    run_range_test,
    suggest,
    with_rate,
)
from mnist_lite.training.step_metrics import Row
from mnist_lite.training.trainer import DivergedError, Trainer
from tests.commands import command_config
from tests.conftest import Compose
from tests.training.trainers import BASE, rows_of, trainer

STEPS = 400


def rates(test: RangeTest | None = None, steps: int = STEPS) -> list[float]:
    test = test or RangeTest()
    return [float(rate) for rate in np.geomspace(test.lr_min, test.lr_max, steps)]


def bowl(lowest: float, width: float) -> list[float]:
    """Losses that fall from 2.3 to 0.3 at the rate ``lowest`` and rise again: a bell curve, ``width`` in decades."""
    return [float(2.3 - 2 * np.exp(-(((np.log10(rate / lowest)) / width) ** 2) / 2)) for rate in rates()]


def range_test(config: Config, test: RangeTest) -> LossCurve:
    return run_range_test(trainer(range_config(config, test)), test.steps, lambda: None)


@pytest.mark.parametrize(("lowest", "width"), [(0.5, 0.5), (0.02, 0.3), (0.1, 1.0)])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_suggestions_for_a_curve_with_a_known_answer(lowest, width, noise):
    """A bell curve of width w, smoothed by one of width s, has the width sqrt(w^2 + s^2). It is steepest at one width."""
    added = np.random.default_rng(0).normal(0, noise, STEPS)
    curve = suggest(rates(), (bowl(lowest, width) + added).tolist())
    smoothing = SMOOTHING * STEPS * np.log10(rates()[1] / rates()[0])
    assert curve.steepest == pytest.approx(lowest / 10 ** np.hypot(width, smoothing), rel=0.3 if noise else 0.05)
    assert curve.minimum_over_10 == pytest.approx(lowest / 10, rel=0.3 if noise else 0.05)
    assert curve.disagreement == max(curve.suggestions.values()) / min(curve.suggestions.values())
    assert next(iter(curve.suggestions.values())) == curve.steepest


def test_the_valley_is_the_middle_of_the_fall():
    """The loss rises, falls from 1e-3 to 1e-1, and rises. The middle of the fall is 1e-2."""
    losses = np.interp(np.log10(rates()), [-5, -3, -1, 1], [1.4, 2.3, 0.5, 2.3])
    assert suggest(rates(), losses.tolist()).valley == pytest.approx(1e-2, rel=0.25)


def test_a_fall_within_the_burn_in_is_not_a_suggestion():
    plain, losses = bowl(0.1, 0.5), np.array(bowl(0.1, 0.5))
    losses[: round(BURN_IN * STEPS)] += np.linspace(9, 0, round(BURN_IN * STEPS))  # the steepest fall of all
    assert suggest(rates(), losses.tolist()).suggestions == suggest(rates(), plain).suggestions


def test_smoothing_keeps_a_straight_line_and_does_not_shift_it():
    losses = np.linspace(3.0, 1.0, STEPS)
    curve = suggest(rates(), losses.tolist())
    inner = slice(STEPS // 5, -STEPS // 5)  # the ends have neighbours on one side only
    np.testing.assert_allclose(np.array(curve.smoothed)[inner], losses[curve.burn_in :][inner], atol=1e-4)


def test_the_longest_fall_by_brute_force():
    random = np.random.default_rng(1)
    for _ in range(50):
        values = random.permutation(8).astype(float)
        lengths = [
            size
            for size in range(1, 9)
            for picked in combinations(range(8), size)
            if all(values[a] > values[b] for a, b in pairwise(picked))
        ]
        first, last = longest_fall(values)
        between = [
            size
            for size in range(1, 9)
            for picked in combinations(range(8), size)
            if picked[0] == first and picked[-1] == last and all(values[a] > values[b] for a, b in pairwise(picked))
        ]
        assert max(between) == max(lengths)


@pytest.mark.parametrize("losses", [[2.3] * 60, list(np.linspace(2.3, 5, 60)), list(np.linspace(2.3, 2.2, 60)), [1.0]])
def test_without_a_fall_there_is_no_suggestion(losses):
    with pytest.raises(RunError, match="did not fall"):
        suggest(rates(steps=len(losses)), losses)


def test_the_range_test_is_the_first_epoch_of_the_run_with_other_rates(composed: Compose):
    """While the rates are near 0, the losses are those of the run: the same weights, batches, augmentation and dropout."""
    recipe = (*BASE, "augment=rotation", "optimizer.momentum=0")
    curve = range_test(composed(*recipe, "scheduler=onecycle", "ema_decay=0.9"), RangeTest(1e-6, 3.0, 60))
    np.testing.assert_allclose(curve.rates, np.geomspace(1e-6, 3.0, 60)[: len(curve.rates)], rtol=1e-9)
    plain = trainer(composed(*recipe, "scheduler=constant", "optimizer.lr=1e-6", "epochs=1"))
    expected = [row["train/loss"] for row in rows_of(plain.fit()) if "train/loss" in row]
    assert len(expected) == 4
    np.testing.assert_allclose(curve.losses[:4], expected, rtol=1e-4)


class DivergingTrainer:
    """Gives the losses of ``bowl``, and fails at its step 300. Its last rows come with the error."""

    step = 0

    def fit(self) -> Iterator[list[Row]]:
        rows: list[Row] = [
            {"step": i, "epoch": 1, "lr": lr, "train/loss": loss}
            for i, (lr, loss) in enumerate(zip(rates(), bowl(0.1, 0.5), strict=True), 1)
        ]
        for self.step in range(1, 291):
            yield rows[self.step - 1 : self.step]
        raise DivergedError({**rows[300], "train/loss": float("nan")}, rows[290:300])


def test_a_loss_that_is_not_finite_ends_the_test():
    curve = run_range_test(cast(Trainer, DivergingTrainer()), STEPS, lambda: None)
    assert curve.losses == bowl(0.1, 0.5)[:300] and curve.rates == rates()[:300]


def test_the_number_replaces_auto_in_the_scheduler_too(composed: Compose):
    config = composed(*BASE, "scheduler=onecycle", "optimizer.lr=auto")
    assert config.scheduler["max_lr"] == "auto"
    found = with_rate(config, 0.03)
    assert (found.optimizer["lr"], found.scheduler["max_lr"]) == (0.03, 0.03)
    assert found.scheduler["anneal_strategy"] == "cos"
    nested = composed(*BASE, "optimizer.lr=auto", "scheduler=warmup_cosine", "++scheduler.schedulers.1.eta_min=auto")
    assert with_rate(nested, 0.03).scheduler["schedulers"][1]["eta_min"] == 0.03
    assert config.optimizer["lr"] == "auto"


def test_the_defaults_are_those_of_the_command():
    from mnist_lite.config.schema import LrFindConfig

    config = command_config("lr_find", LrFindConfig)
    assert RangeTest() == RangeTest(config.lr_min, config.lr_max, config.steps)
