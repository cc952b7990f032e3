"""Everything that a run needs, built from its config and tried out before anything is written."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from mnist_lite import rng
from mnist_lite.backends.device import describe_device, pick_device, set_arithmetic, set_threads
from mnist_lite.backends.select import ExecutionPlan, select_backend
from mnist_lite.backends.torch_backend import Backend, TorchBackend
from mnist_lite.config.schema import Config
from mnist_lite.data.augment import pipeline
from mnist_lite.data.dataset import Dataset, load, possible_counts
from mnist_lite.errors import UserError
from mnist_lite.model import budget
from mnist_lite.model.build import INPUT_SHAPE, Network, build
from mnist_lite.reporting import layer_table
from mnist_lite.reporting.console import Console
from mnist_lite.training import schedule
from mnist_lite.training.optimizer import build_optimizer
from mnist_lite.training.trainer import Trainer


@dataclass(frozen=True)
class RunParts:
    """The parts of a run, ready to train."""

    network: Network
    data: Dataset
    plan: ExecutionPlan
    trainer: Trainer


def set_up_run(config: Config, reporter: Console, state: Mapping[str, Any] | None = None) -> RunParts:
    """Builds network, data and trainer, and says what they are.

    ``state`` is that of a resumed run: ``data=auto`` must not find other data this time, and ``backend=auto`` not choose anew.

    Raises:
        UserError: the config or the data is not usable.
    """
    device = pick_device(config.device)
    set_arithmetic(device, config.precision)
    threads = set_threads(config.threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    rng.seed_global(config.seed, "init")
    network = build(config.model, config.init)
    transforms = pipeline.build(config.augment)
    wanted = config.data if state is None else replace(config.data, name=state["data"]["name"])
    rehearsed = _rehearse_schedule(config, network, possible_counts(wanted))
    _rehearse_step(config, network, 2, "optimizer")
    early = budget.before_training(config.budget, network.parameters, network.fully_connected, config.epochs)
    budget.refuse_if_impossible(config, early)

    reporter.line(lambda width: f"{config.name}\n\n{layer_table.as_text(network, width)}\n")
    for check in early.checks:
        reporter.line(f"budget {check}")
    data = load(wanted)
    if data.warning:
        reporter.warn(data.warning)
    if len(data.train) != rehearsed:
        _rehearse_schedule(config, network, [len(data.train)])
    last = len(data.train) % config.batch_size or config.batch_size
    if last == 1:
        _rehearse_step(config, network, 1, f"batch_size: {config.batch_size} leaves a batch of one image, which")
    network.module.to(device)
    data = data.to(device)
    optimizer = build_optimizer(config.optimizer, network.module)
    steps = math.ceil(len(data.train) / config.batch_size)
    lr_schedule = schedule.build_schedule(config.scheduler, optimizer, config.epochs, steps, data.holdout is not None)
    held = "" if data.holdout is None else f", {len(data.holdout):,} held out"
    before = None if state is None else state["conditions"].get("backend")
    plan = select_backend(config, network, device, threads, len(data.train) * config.epochs, before)
    torch.set_num_threads(plan.torch_threads)
    reporter.line(
        f"data: {data.name}, {len(data.train):,} training images{held}, {len(data.test):,} test images; "
        f"{describe_device(device, threads)}, {plan}, seed {config.seed}"
    )
    trainer = Trainer(config, network.module, plan.backend, optimizer, lr_schedule, transforms, data, device)
    return RunParts(network, data, plan, trainer)


def check_extension(config: Config, parts: RunParts, epochs: int) -> None:
    """That a run of ``epochs`` epochs may go on as one of ``config.epochs``: all so far would have been the same.

    Raises:
        UserError: the schedule was laid out over the whole run.
    """
    if not same_so_far(config, parts.network.module, parts.trainer.steps_per_epoch, epochs, config.epochs):
        raise UserError(
            f"epochs: {config.scheduler['name']} was laid out over {epochs} epochs, and with {config.epochs} its rates would "
            "have been others from the start; leave resume out for a new run"
        )


def same_so_far(config: Config, module: nn.Module, steps_per_epoch: int, epochs: int, more: int) -> bool:
    """Whether the schedule of a run of ``more`` epochs begins like that of a run of ``epochs`` epochs."""
    states = []
    for total in (epochs, more):
        optimizer = build_optimizer(config.optimizer, module)
        plan = schedule.build_schedule(config.scheduler, optimizer, total, steps_per_epoch, config.data.holdout > 0)
        states.append(plan.scheduler.state_dict())
    return bool(states[0] == states[1])


def trial_step(
    config: Config, network: Network, images: int, device: torch.device, backend: Backend | None = None
) -> None:
    """One training step of a copy of ``network`` on ``images`` images of noise; changes nothing.

    With ``backend`` it needs the memory that a step takes there; gradients and running statistics of ``network`` are lost.
    """
    if backend is not None and backend.name != TorchBackend.name:
        labels = torch.zeros(images, dtype=torch.int64, device=device)
        backend.gradients(torch.randn(images, *INPUT_SHAPE, device=device), labels, 0)
        return
    module = copy.deepcopy(network.module).to(device).train()
    optimizer = build_optimizer(config.optimizer, module)
    module(torch.randn(images, *INPUT_SHAPE, device=device)).square().mean().backward()
    optimizer.step()


def _rehearse_schedule(config: Config, network: Network, counts: Sequence[int]) -> int:
    """The first of ``counts``, numbers of training images, that the schedule can do.

    Raises:
        UserError: it can do none of them; the message is about the first.
    """
    problems = []
    for images in counts:
        trial, steps = (
            build_optimizer(config.optimizer, network.module),
            math.ceil(images / config.batch_size),
        )
        try:
            schedule.rehearse(config.scheduler, trial, config.epochs, steps, config.data.holdout > 0)
            return images
        except UserError as problem:
            problems.append(problem)
    raise problems[0]


def _rehearse_step(config: Config, network: Network, images: int, who: str) -> None:
    """Some arguments are refused by torch no earlier than in a training step.

    Raises:
        UserError: what torch says, blamed on ``who``.
    """
    try:
        trial_step(config, network, images, torch.device("cpu"))
    except (ValueError, RuntimeError, AssertionError, TypeError) as error:
        raise UserError(f"{who} cannot do a training step: {str(error).splitlines()[0]}") from error
