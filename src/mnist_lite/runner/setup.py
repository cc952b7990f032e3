"""Builds all parts of a run from its config, and tries them out. Nothing is written to the disk here, except MNIST."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from mnist_lite import rng
from mnist_lite.backends.device import describe_device, pick_device, set_arithmetic, set_threads
from mnist_lite.backends.select import ExecutionPlan, select_backend
from mnist_lite.config.schema import Config
from mnist_lite.data.augment import pipeline
from mnist_lite.data.dataset import Dataset, load, possible_counts
from mnist_lite.model import budget
from mnist_lite.model.build import Network, build
from mnist_lite.reporting import layer_table, tensorboard
from mnist_lite.reporting.console import Console
from mnist_lite.runner.checkpoint import Checkpoint
from mnist_lite.training.optimizer import build_optimizer
from mnist_lite.training.schedule import build_schedule
from mnist_lite.training.trainer import Trainer
from mnist_lite.training.trial import Trial


@dataclass(frozen=True)
class RunParts:
    """The parts of a run, ready to train."""

    network: Network
    data: Dataset
    plan: ExecutionPlan
    trainer: Trainer


def set_up_run(config: Config, console: Console, state: Checkpoint | None = None, download: bool = True) -> RunParts:
    """Builds the network, the data and the trainer, and prints what they are.

    ``state`` is the checkpoint of a resumed run: its data set and its backend replace ``auto``. With ``download=False`` the data
    is only read.

    Raises:
        UserError: the config or the data is not usable. If possible, this is found before the data is read.
    """
    if config.tensorboard:
        tensorboard.check_installed()
    device = pick_device(config.device)
    threads = _set_torch_state(config, device)
    network = build(config.model, config.init)
    augment = pipeline.build(config.augment)
    trial = Trial(config, network.module)
    source = config.data if state is None else replace(config.data, name=state["data"]["name"])
    rehearsed = trial.rehearse_schedule(possible_counts(source))
    trial.step(2, "optimizer")
    verdict = budget.before_training(config.budget, network.parameters, network.fully_connected, config.epochs)
    budget.refuse_if_impossible(config, verdict)

    console.line(lambda width: f"{config.name}\n\n{layer_table.as_text(network, width)}\n")
    for check in verdict.checks:
        console.line(f"budget {check}")
    data = load(source, download)
    if data.warning:
        console.warn(data.warning)
    images = len(data.train)
    if images != rehearsed:
        trial.rehearse_schedule([images])
    if images % config.batch_size == 1 or config.batch_size == 1:
        trial.step(1, f"batch_size: {config.batch_size} leaves a batch of one image, which")

    network.module.to(device)
    data = data.to(device)
    optimizer = build_optimizer(config.optimizer, network.module)
    steps = math.ceil(images / config.batch_size)
    schedule = build_schedule(config.scheduler, optimizer, config.epochs, steps, data.holdout is not None)
    before = None if state is None else state["conditions"].get("backend")
    plan = select_backend(config, network, device, threads, images * config.epochs, before, console.line)
    torch.set_num_threads(plan.torch_threads)
    holdout = "" if data.holdout is None else f", {len(data.holdout):,} held out"
    console.line(
        f"data: {data.name}, {images:,} training images{holdout}, {len(data.test):,} test images; "
        f"{describe_device(device, threads)}, {plan}, seed {config.seed}"
    )
    trainer = Trainer(config, network.module, plan.backend, optimizer, schedule, augment, data, device)
    return RunParts(network, data, plan, trainer)


def _set_torch_state(config: Config, device: torch.device) -> int:
    """Sets the global state of torch for this run: arithmetic, GPU, threads, random numbers. Returns the number of threads."""
    set_arithmetic(device, config.precision)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    threads = set_threads(config.threads)
    rng.seed_global(config.seed, "init")
    return threads
