"""Finds a learning rate: sets up the training of a config, and does a range test with it. Nothing is written to the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from mnist_lite.backends.out_of_memory import is_out_of_memory
from mnist_lite.config.schema import Config
from mnist_lite.errors import NoMemoryError, UserError
from mnist_lite.reporting.console import Console
from mnist_lite.runner.checkpoint import Checkpoint
from mnist_lite.runner.setup import RunParts, set_up_run
from mnist_lite.training.lr_range import AUTO, LossCurve, RangeTest, range_config, run_range_test, with_rate


def find_lr(
    config: Config, test: RangeTest, on_step: Callable[[], object] = lambda: None
) -> tuple[LossCurve, RunParts]:
    """The curve of a range test with the recipe of ``config``, and what the test has trained. It prints nothing.

    ``on_step`` is called after each step.

    Raises:
        UserError: the config or the data is not usable.
        RunError: the loss did not fall, or the memory is full.
    """
    parts = set_up_run(range_config(config, test), Console(lambda *_: None))
    # A trainer evaluates after each epoch, and an epoch of few images is short. One image keeps that fast.
    parts.trainer.data = replace(parts.data, test=parts.data.test.take(torch.tensor([0])), holdout=None)
    try:
        return run_range_test(parts.trainer, test.steps, on_step), parts
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise NoMemoryError(
            f"out of memory on {parts.trainer.device} with batch_size={config.batch_size}; try a smaller batch_size"
        ) from error


def with_found_rate(config: Config, console: Console, state: Checkpoint | None = None) -> Config:
    """``config`` with a number in place of ``optimizer.lr=auto``: the first suggestion of a range test.

    A config that has a number is returned unchanged. A job of a sweep keeps ``auto`` in its config when it is resumed. Then
    ``state`` is its checkpoint, and the number is that of its start.

    Raises:
        UserError: the config or the data is not usable.
        RunError: the loss did not fall.
    """
    rate = config.optimizer.get("lr")
    if isinstance(rate, str) and rate != AUTO:
        raise UserError(f"optimizer.lr: {rate!r} is not allowed; expected a finite number or {AUTO}")
    if rate != AUTO:
        return config
    if state is not None:
        return with_rate(config, state["config"]["optimizer"]["lr"])
    test = RangeTest()
    curve, _ = find_lr(config, test)
    found = ", ".join(f"{name} {rate:g}" for name, rate in curve.suggestions.items())
    console.line(
        f"optimizer.lr=auto: {curve.steepest:g}. A range test of {len(curve.rates)} steps suggests: {found}. They differ by a "
        f"factor of {curve.disagreement:.1f}."
    )
    return with_rate(config, curve.steepest)
