"""Builds the learning-rate schedule: any class of ``torch.optim.lr_scheduler``, by its own name and keyword arguments.

An argument may be given in units that only the loop knows: ``total_steps`` and ``steps_per_epoch``, alone or with a factor
(``0.1 * total_steps``). They count the scheduler's own steps: batches with ``interval: step``, epochs with ``interval: epoch``.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import lr_scheduler

from mnist_lite.config.signature import bind
from mnist_lite.errors import RunError, UserError, did_you_mean

INTERVALS = ("step", "epoch")
MONITORS = (
    *("train/epoch_loss", "train/epoch_accuracy"),
    *("holdout/loss", "holdout/accuracy", "test/loss", "test/accuracy"),
)
"""Figures of an epoch. These are keys of the evaluation rows in ``metrics.jsonl``."""
EPOCH_MEAN_OF = {"train/loss": "train/epoch_loss", "train/accuracy": "train/epoch_accuracy"}
"""Figures of one step in ``metrics.jsonl``, and their means over an epoch."""
MAX_REHEARSED_STEPS = 1_000_000
"""A longer rehearsal would take more than some 3 s. What fails after this step ends the run with one line."""
FAILURES = (ValueError, TypeError, ArithmeticError, NotImplementedError)
"""What torch's schedulers raise when they cannot go on."""
ROUNDING = 1e-12
"""A rate this far below zero, relative to the first one, is a rounding error: LinearLR down to 0 ends at about -1e-18."""
NEED_A_FUNCTION = ("LambdaLR", "MultiplicativeLR")
_UNIT = re.compile(r"(?:([0-9.eE+-]+)\s*\*\s*)?(total_steps|steps_per_epoch)")


@dataclass
class Schedule:
    """A torch scheduler and when it steps."""

    scheduler: lr_scheduler.LRScheduler
    interval: str
    """``step``: after each batch; ``epoch``: after each epoch's evaluation."""
    monitor: str | None
    """The figure that ReduceLROnPlateau watches: one of ``MONITORS``. None for all other schedulers."""

    def step(self, interval: str, metrics: Mapping[str, float]) -> None:
        """Moves the rate at the end of each ``step`` or each ``epoch``. ``interval`` says which of them has ended.

        Raises:
            RunError: the scheduler cannot do this step.
        """
        if interval != self.interval:
            return
        try:
            self.move(metrics)
        except FAILURES as error:
            raise RunError(f"scheduler: {type(self.scheduler).__name__} cannot do another step: {error}") from error

    def move(self, metrics: Mapping[str, float]) -> None:
        """Moves the rate once; what torch raises is passed on."""
        if self.monitor is not None:
            self.scheduler.step(metrics[self.monitor])  # type: ignore[arg-type]
        else:
            self.scheduler.step()


def scheduler_classes() -> dict[str, type[lr_scheduler.LRScheduler]]:
    """The classes of ``torch.optim.lr_scheduler`` whose arguments YAML can say, by name."""
    return {
        name: member
        for name, member in vars(lr_scheduler).items()
        if inspect.isclass(member)
        and issubclass(member, lr_scheduler.LRScheduler)
        and name not in ("LRScheduler", "_LRScheduler", *NEED_A_FUNCTION)
    }


def build_schedule(
    config: Mapping[str, Any], optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int, holdout: bool
) -> Schedule:
    """The schedule that ``config`` names, for a run of ``epochs`` of ``steps_per_epoch`` batches.

    Raises:
        UserError: no such class, an argument that it does not take, or a value that it refuses.
    """
    interval = config.get("interval")
    if interval not in INTERVALS:
        raise UserError(f"scheduler.interval: {interval!r} is not allowed; {did_you_mean(str(interval), INTERVALS)}")
    units = {"total_steps": epochs, "steps_per_epoch": 1}
    if interval == "step":
        units = {"total_steps": epochs * steps_per_epoch, "steps_per_epoch": steps_per_epoch}
    given = {key: value for key, value in config.items() if key not in ("interval", "monitor")}
    scheduler = _build(given, optimizer, units, "scheduler")
    monitor = config.get("monitor")
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        if interval != "epoch":
            raise UserError(f"scheduler.interval: {interval!r} is not allowed; {config['name']} needs interval: epoch")
        _check_monitor(monitor, holdout)
    elif monitor is not None:
        raise UserError(f"scheduler.monitor: unknown key; {config['name']} watches no metric (ReduceLROnPlateau does)")
    return Schedule(scheduler, interval, monitor)


def rehearse(
    config: Mapping[str, Any], optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int, holdout: bool
) -> None:
    """Steps through a whole run of the schedule on an ``optimizer`` that is thrown away, without training.

    Some of torch's schedulers accept an argument and fail on it hours later (``step_size: 0``, a ``total_steps`` that is
    too small). A step of a rehearsal takes 2 to 3 microseconds. At most ``MAX_REHEARSED_STEPS`` are done.

    Raises:
        UserError: what ``build_schedule`` raises, and what only stepping shows.
    """
    plan = build_schedule(config, optimizer, epochs, steps_per_epoch, holdout)
    steps = epochs if plan.interval == "epoch" else epochs * steps_per_epoch
    if steps > MAX_REHEARSED_STEPS and steps > (most := getattr(plan.scheduler, "total_steps", steps)):
        raise UserError(f"scheduler: {config['name']} has {most} steps and the run has {steps}")
    count = min(steps, MAX_REHEARSED_STEPS)
    figures = dict.fromkeys(MONITORS, 0.0)
    least = [-ROUNDING * float(group["lr"]) for group in optimizer.param_groups]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch expects optimizer.step() in between, and says so
            for step in range(count):
                for group, low in zip(optimizer.param_groups, least, strict=True):
                    if not low <= group["lr"] < math.inf:
                        raise UserError(
                            f"scheduler: {config['name']} gives lr {group['lr']:g} at its step {step}; expected >= 0"
                        )
                plan.move(figures)
    except FAILURES as error:
        raise UserError(f"scheduler: {config['name']} cannot do {steps} steps: {error}") from error


def _check_monitor(monitor: Any, holdout: bool) -> None:
    if monitor is None:
        raise UserError(f"scheduler.monitor: missing; allowed: {', '.join(MONITORS)}")
    if monitor in EPOCH_MEAN_OF:
        raise UserError(
            f"scheduler.monitor: {monitor!r} is the figure of one step; did you mean {EPOCH_MEAN_OF[monitor]}? "
            f"(allowed: {', '.join(MONITORS)})"
        )
    if monitor not in MONITORS:
        raise UserError(f"scheduler.monitor: {monitor!r} is not allowed; {did_you_mean(str(monitor), MONITORS)}")
    if monitor.startswith("holdout/") and not holdout:
        raise UserError(f"scheduler.monitor: {monitor} needs held-out images; set data.holdout, for example to 5000")


def _build(
    given: Mapping[str, Any], optimizer: torch.optim.Optimizer, units: Mapping[str, int], where: str
) -> lr_scheduler.LRScheduler:
    classes = scheduler_classes()
    name = str(given.get("name"))
    if name in NEED_A_FUNCTION:
        raise UserError(
            f"{where}.name: {name} takes a Python function, which YAML cannot say; allowed: {', '.join(classes)}"
        )
    if name not in classes:
        raise UserError(f"{where}.name: no class {name!r} in torch.optim.lr_scheduler; {did_you_mean(name, classes)}")
    cls = classes[name]
    values = {key: _in_steps(value, units) for key, value in given.items() if key not in ("name", "schedulers")}
    supplied = ["optimizer", "schedulers"] if "schedulers" in inspect.signature(cls).parameters else ["optimizer"]
    arguments = bind(cls, values, where, supplied)
    if "schedulers" in supplied:
        parts = given.get("schedulers")
        if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
            raise UserError(f"{where}.schedulers: {name} needs a list of schedulers, each with its name and arguments")
        arguments["schedulers"] = [
            _build(part, optimizer, units, f"{where}.schedulers.{i}") for i, part in enumerate(parts)
        ]
    elif "schedulers" in given:
        raise UserError(f"{where}.schedulers: unknown key; {name} takes no list of schedulers")
    if "optimizer" in inspect.signature(cls).parameters:
        arguments["optimizer"] = optimizer
    try:
        with warnings.catch_warnings():
            # SequentialLR rewinds its parts by calling step() before any optimiser step; torch warns of its own doing.
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
            return cls(**arguments)
    except (ValueError, TypeError, ArithmeticError, KeyError, AttributeError, NotImplementedError) as error:
        raise UserError(f"{where}: {name} refuses its arguments: {error}") from error


def _in_steps(value: Any, units: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        return [_in_steps(item, units) for item in value]
    match = _UNIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    try:
        steps = float(match[1] or 1) * units[match[2]]
        return max(1, round(steps)) if steps > 0 else value
    except (ValueError, OverflowError):
        return value
