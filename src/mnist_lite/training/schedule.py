"""The learning-rate schedule: any class of ``torch.optim.lr_scheduler``, by its own name and keyword arguments.

An argument may use two units that depend on the run: ``total_steps`` and ``steps_per_epoch``, alone or with a factor
(``0.1 * total_steps``). They count steps of the scheduler: batches with ``interval: step``, epochs with ``interval:
epoch``.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import lr_scheduler

from mnist_lite.config.signature import bind
from mnist_lite.errors import RunError, UserError, did_you_mean
from mnist_lite.training.optimizer import torch_classes

INTERVALS = ("step", "epoch")
MONITORS = (
    *("train/epoch_loss", "train/epoch_accuracy"),
    *("holdout/loss", "holdout/accuracy", "test/loss", "test/accuracy"),
)
"""The metrics that a scheduler can watch: keys in the row of an evaluation in ``metrics.jsonl``."""
TORCH_ERRORS = (ArithmeticError, AttributeError, KeyError, NotImplementedError, TypeError, ValueError)
"""The errors that torch's schedulers raise for bad arguments."""
NEED_A_FUNCTION = ("LambdaLR", "MultiplicativeLR")
"""An argument of these classes is a Python function."""
_UNIT = re.compile(r"(?:([0-9.eE+-]+)\s*\*\s*)?(total_steps|steps_per_epoch)")


@dataclass
class Schedule:
    """A torch scheduler, and when it steps."""

    scheduler: lr_scheduler.LRScheduler
    interval: str
    """``step``: after each batch. ``epoch``: after the evaluation of each epoch."""
    monitor: str | None
    """The metric that ReduceLROnPlateau watches: one of ``MONITORS``. None for all other schedulers."""

    def step(self, interval: str, metrics: Mapping[str, float]) -> None:
        """Does a step of the scheduler, if it steps after each ``interval``: ``step`` (a batch) or ``epoch``.

        Raises:
            RunError: the scheduler cannot do this step. The cause is torch's error.
        """
        if interval != self.interval:
            return
        try:
            if self.monitor is not None:
                self.scheduler.step(metrics[self.monitor])  # type: ignore[arg-type]
            else:
                self.scheduler.step()
        except TORCH_ERRORS as error:
            raise RunError(f"scheduler: {type(self.scheduler).__name__} cannot do another step: {error}") from error


def scheduler_classes() -> dict[str, type[lr_scheduler.LRScheduler]]:
    """The classes of ``torch.optim.lr_scheduler`` whose arguments can be written in YAML, by name."""
    return torch_classes(lr_scheduler, lr_scheduler.LRScheduler, ("_LRScheduler", *NEED_A_FUNCTION))


def build_schedule(
    config: Mapping[str, Any], optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int, holdout: bool
) -> Schedule:
    """The schedule of ``config`` for a run of ``epochs`` epochs of ``steps_per_epoch`` batches.

    Raises:
        UserError: an unknown class, an unknown argument, or a value that the class refuses.
    """
    interval = config.get("interval")
    if interval not in INTERVALS:
        raise UserError(f"scheduler.interval: {interval!r} is not allowed; {did_you_mean(str(interval), INTERVALS)}")
    units = {"total_steps": epochs, "steps_per_epoch": 1}
    if interval == "step":
        units = {"total_steps": epochs * steps_per_epoch, "steps_per_epoch": steps_per_epoch}
    arguments = {key: value for key, value in config.items() if key not in ("interval", "monitor")}
    scheduler = _build(arguments, optimizer, units, "scheduler")
    monitor = config.get("monitor")
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        if interval != "epoch":
            raise UserError(f"scheduler.interval: {interval!r} is not allowed; {config['name']} needs interval: epoch")
        _check_monitor(monitor, holdout)
    elif monitor is not None:
        raise UserError(f"scheduler.monitor: unknown key; {config['name']} watches no metric (ReduceLROnPlateau does)")
    return Schedule(scheduler, interval, monitor)


def _check_monitor(monitor: Any, holdout: bool) -> None:
    if monitor is None:
        raise UserError(f"scheduler.monitor: missing; allowed: {', '.join(MONITORS)}")
    if monitor not in MONITORS:
        raise UserError(f"scheduler.monitor: {monitor!r} is not allowed; {did_you_mean(str(monitor), MONITORS)}")
    if monitor.startswith("holdout/") and not holdout:
        raise UserError(f"scheduler.monitor: {monitor} needs held-out images; set data.holdout, for example to 5000")


def _build(
    config: Mapping[str, Any], optimizer: torch.optim.Optimizer, units: Mapping[str, int], key: str
) -> lr_scheduler.LRScheduler:
    """The scheduler of ``config``, which is at ``key`` of the whole config. Schedulers within schedulers are built, too."""
    classes = scheduler_classes()
    name = str(config.get("name"))
    if name not in classes:
        raise UserError(
            f"{key}.name: {name!r} is no class of torch.optim.lr_scheduler that YAML can express; {did_you_mean(name, classes)}"
        )
    cls = classes[name]
    parameters = inspect.signature(cls).parameters
    filled_in = [parameter for parameter in ("optimizer", "schedulers") if parameter in parameters]
    values = {k: _to_steps(value, units) for k, value in config.items() if k not in ("name", "schedulers")}
    arguments = bind(cls, values, key, filled_in)
    if "optimizer" in filled_in:
        arguments["optimizer"] = optimizer
    parts = config.get("schedulers")
    if "schedulers" in filled_in:
        if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
            raise UserError(f"{key}.schedulers: {name} needs a list of schedulers, each with its name and arguments")
        arguments["schedulers"] = [
            _build(part, optimizer, units, f"{key}.schedulers.{i}") for i, part in enumerate(parts)
        ]
    elif "schedulers" in config:
        raise UserError(f"{key}.schedulers: unknown key; {name} takes no list of schedulers")
    try:
        with warnings.catch_warnings():
            # SequentialLR calls step() of its parts before any optimizer.step(), and torch warns about that
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
            return cls(**arguments)
    except TORCH_ERRORS as error:
        raise UserError(f"{key}: {name} refuses its arguments: {error}") from error


def _to_steps(value: Any, units: Mapping[str, int]) -> Any:
    """``value`` with units replaced by numbers of steps, at least 1. A value without a unit stays as it is."""
    if isinstance(value, list):
        return [_to_steps(item, units) for item in value]
    match = _UNIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    try:
        steps = float(match[1] or 1) * units[match[2]]
        return max(1, round(steps)) if steps > 0 else value
    except (ValueError, OverflowError):  # "1.2.3 * total_steps", "1e400 * total_steps"
        return value
