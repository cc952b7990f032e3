"""Tries a config out before training, on a copy of the network with an optimizer of its own.

torch accepts some arguments when an object is built, and refuses them later: in the first training step, or in a step
of the scheduler hours later. A trial finds these errors within seconds. It reads no data and leaves the network
unchanged.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mnist_lite.backends import without_compiler
from mnist_lite.config.schema import Config
from mnist_lite.errors import RunError, UserError
from mnist_lite.model.build import INPUT_SHAPE
from mnist_lite.training.optimizer import build_optimizer
from mnist_lite.training.schedule import MONITORS, build_schedule

MAX_REHEARSED_STEPS = 1_000_000
"""The number of steps of a schedule that are tried at most: about 3 s. If a later step fails, the run ends with one line."""
ROUNDING = 1e-12
"""A negative rate above -ROUNDING times the first rate is allowed. LinearLR down to 0 ends at about -1e-18, a rounding error."""


class Trial:
    """A copy of a network, and its optimizer."""

    def __init__(self, config: Config, module: nn.Module) -> None:
        """Copies ``module`` to the CPU.

        Raises:
            UserError: ``config.optimizer`` is not usable.
        """
        self._config = config
        self._module = copy.deepcopy(module).cpu().train()
        self._optimizer = build_optimizer(config.optimizer, self._module)

    def step(self, images: int, key: str) -> None:
        """Does a training step on ``images`` images of noise.

        Raises:
            UserError: torch refuses the step. The message names ``key`` as the cause.
        """
        try:
            self._module(torch.randn(images, *INPUT_SHAPE)).square().mean().backward()
            without_compiler.step(self._optimizer)
        except (ValueError, RuntimeError, AssertionError, TypeError) as error:  # all from torch, for bad arguments
            raise UserError(f"{key} cannot do a training step: {str(error).splitlines()[0]}") from error

    def optimizer_state(self) -> dict[Any, Any]:
        """The state of each parameter in the optimizer after one step, to check a saved state against."""
        self.step(2, "optimizer")
        state: dict[Any, Any] = self._optimizer.state_dict()["state"]
        return state

    def rehearse_schedule(self, counts: Sequence[int]) -> int:
        """Rehearses the schedule with each number of training images in ``counts``. Returns the first number that works.

        Raises:
            UserError: no number works. The message is about the first one.
        """
        config, errors = self._config, []
        for images in counts:
            steps = math.ceil(images / config.batch_size)
            try:
                rehearse(config.scheduler, self._optimizer, config.epochs, steps, config.data.holdout > 0)
                return images
            except UserError as error:
                errors.append(error)
        raise errors[0]


def rehearse(
    config: Mapping[str, Any], optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int, holdout: bool
) -> None:
    """Does all steps of the schedule of ``config``, without training. The ``optimizer`` has its old settings afterwards.

    Examples of what it finds: ``step_size: 0``, a ``total_steps`` that is too small. A step takes 2 to 3 microseconds.
    At most ``MAX_REHEARSED_STEPS`` steps are done.

    Raises:
        UserError: the errors of ``build_schedule``, a step that fails, or a learning rate that is negative or not
            finite.
    """
    with _settings_restored(optimizer):
        schedule = build_schedule(config, optimizer, epochs, steps_per_epoch, holdout)
        steps = epochs if schedule.interval == "epoch" else epochs * steps_per_epoch
        if steps > MAX_REHEARSED_STEPS and steps > (limit := getattr(schedule.scheduler, "total_steps", steps)):
            raise UserError(f"scheduler: {config['name']} has {limit} steps and the run has {steps}")
        metrics = dict.fromkeys(MONITORS, 0.0)
        lowest = [-ROUNDING * float(group["lr"]) for group in optimizer.param_groups]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns because there is no optimizer.step() in between
            for step in range(min(steps, MAX_REHEARSED_STEPS)):
                for group, low in zip(optimizer.param_groups, lowest, strict=True):
                    if not low <= group["lr"] < math.inf:
                        raise UserError(
                            f"scheduler: {config['name']} gives lr {group['lr']:g} at its step {step}; expected >= 0"
                        )
                try:
                    schedule.step(schedule.interval, metrics)
                except RunError as error:
                    raise UserError(
                        f"scheduler: {config['name']} cannot do {steps} steps: {error.__cause__}"
                    ) from error


def can_extend(config: Config, epochs: int, more: int, steps_per_epoch: int) -> bool:
    """Whether a run of ``epochs`` epochs can go on to ``more`` epochs: both numbers must give the same schedule.

    True for a constant rate and for StepLR. False for a schedule that depends on ``total_steps``, such as one-cycle.
    """
    optimizer = build_optimizer(config.optimizer, nn.Linear(1, 1))  # a schedule does not depend on the network
    states = []
    for total in (epochs, more):
        with _settings_restored(optimizer):
            schedule = build_schedule(config.scheduler, optimizer, total, steps_per_epoch, config.data.holdout > 0)
            states.append(schedule.scheduler.state_dict())
    return bool(states[0] == states[1])


@contextmanager
def _settings_restored(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """At the end of the block the ``optimizer`` has its old settings. A scheduler changes learning rates and momenta."""
    before = optimizer.state_dict()
    try:
        yield
    finally:
        optimizer.load_state_dict(before)
