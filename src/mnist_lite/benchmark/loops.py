"""The loops that ``bench`` measures: the plain loop of ``baseline.py``, the trainer of ``train``, and other loops in torch."""

from __future__ import annotations

import contextlib
import io
import resource
import sys
from collections.abc import Callable, Iterator
from itertools import starmap
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mnist_lite.backends.device import describe_device, pick_device, set_threads
from mnist_lite.benchmark import baseline
from mnist_lite.benchmark.ab import Loop, Step
from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import Config
from mnist_lite.data.augment.pipeline import build as build_augment
from mnist_lite.data.dataset import load
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from mnist_lite.reporting.console import Console
from mnist_lite.rng import generator
from mnist_lite.runner.setup import set_up_run
from mnist_lite.training.optimizer import build_optimizer
from mnist_lite.training.trainer import DivergedError


def baseline_loop(config: Config, images: int) -> Loop:
    """The plain loop with the network, optimizer and augmentation of ``config``. Its learning rate is constant."""
    return _plain_loop(config, images, 4 if pick_device(config.device).type == "cuda" else 0)


def workers_loop(config: Config, images: int) -> Loop:
    """The plain loop with two worker processes of its ``DataLoader``."""
    return _plain_loop(config, images, 2)


def _plain_loop(config: Config, images: int, workers: int) -> Loop:
    device, threads, network, optimizer = _set_up(config)
    root = user_path("data.root", config.data.root)
    steps = baseline.train(root, network, optimizer, config.augment["transforms"], config.batch_size, device, workers)

    def evaluate() -> int:
        baseline.evaluate(root, network, images, device)
        return images

    loading = f", {workers} DataLoader workers" if workers else ""
    description = f"{describe_device(device, threads)}, {_precision(device)}, torch{loading}"
    return Loop(description, starmap(Step, steps), evaluate, *_gauges(device))


def eager_loop(config: Config, _images: int) -> Loop:
    """A loop in torch without ``DataLoader``: data and augmentation are tensors, and no step waits for the device."""
    return _tensor_loop(config, "eager", lambda function: function)


def compiled_loop(config: Config, _images: int) -> Loop:
    """``eager_loop`` with ``torch.compile`` for the network and the loss."""
    return _tensor_loop(config, "torch.compile", torch.compile)


def _tensor_loop(config: Config, mode: str, compile_function: Callable[..., Any]) -> Loop:
    device, threads, network, optimizer = _set_up(config)
    data, augment = load(config.data).to(device), build_augment(config.augment)
    draws = generator(device, config.seed, "augment")

    @compile_function
    def loss_of(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(network(inputs), labels)

    def steps() -> Iterator[Step]:
        network.train()
        size = config.batch_size
        while True:
            order = torch.randperm(len(data.train), device=device)
            for indices in order[: len(order) // size * size].split(size):
                inputs = data.inputs(data.train.images[indices], device, augment, draws)
                loss = loss_of(inputs, data.train.labels[indices])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                yield Step(size, loss.detach())

    description = (
        f"{describe_device(device, threads)}, {_precision(device)}, torch, {mode}, data and augmentation as tensors"
    )
    return Loop(description, steps(), lambda: 0, *_gauges(device))


def _set_up(config: Config) -> tuple[torch.device, int, nn.Module, torch.optim.Optimizer]:
    device = pick_device(config.device)
    threads = set_threads(config.threads)
    network = build(config.model, config.init).module.to(device)
    return device, threads, network, build_optimizer(config.optimizer, network)


def _precision(device: torch.device) -> str:
    return "fp32 with TF32 in convolutions" if device.type == "cuda" else "fp32"  # torch's defaults


def our_loop(config: Config, images: int) -> Loop:
    """The trainer of ``train``, without a run folder."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.closing(Console()) as console:
        parts = set_up_run(config, console)
    trainer = parts.trainer
    test = parts.data.test.take(torch.arange(images))

    def steps() -> Iterator[Step]:
        loss = 0.0
        try:
            for rows in trainer.fit():
                loss = next((row["train/loss"] for row in reversed(rows) if "train/loss" in row), loss)
                yield Step(config.batch_size, loss)
        except DivergedError as error:
            raise UserError(f"bench: {error}; use a lower optimizer.lr") from error

    def evaluate() -> int:
        trainer.evaluate(test)
        return images

    description = f"{describe_device(trainer.device, parts.plan.threads)}, {parts.plan}"
    return Loop(description, steps(), evaluate, *_gauges(trainer.device))


def _gauges(device: torch.device) -> tuple[Callable[[], None], Callable[[], int]]:
    """``synchronize`` and ``peak_memory`` of a loop on ``device``."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device), lambda: torch.cuda.max_memory_allocated(device)
    return lambda: None, host_memory


def host_memory() -> int:
    """The peak memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
