"""The two loops that ``bench`` measures: the plain loop of ``baseline.py``, and the trainer of ``train``."""

from __future__ import annotations

import contextlib
import io
import resource
import sys
from collections.abc import Callable, Iterator

import torch

from mnist_lite.backends.device import describe_device, pick_device, set_threads
from mnist_lite.benchmark import baseline
from mnist_lite.benchmark.ab import Loop
from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from mnist_lite.reporting.console import Console
from mnist_lite.runner.setup import set_up_run
from mnist_lite.training.optimizer import build_optimizer
from mnist_lite.training.trainer import DivergedError


def baseline_loop(config: Config, images: int) -> Loop:
    """The plain loop with the network, optimizer and augmentation of ``config``. Its learning rate is constant."""
    device = pick_device(config.device)
    threads = set_threads(config.threads)
    network = build(config.model, config.init).module.to(device)
    optimizer = build_optimizer(config.optimizer, network)
    root = user_path("data.root", config.data.root)
    steps = baseline.train(root, network, optimizer, config.augment["transforms"], config.batch_size, device)

    def evaluate() -> None:
        baseline.evaluate(root, network, images, device)

    precision = "fp32 with TF32 in convolutions" if device.type == "cuda" else "fp32"  # torch's defaults
    description = f"{describe_device(device, threads)}, {precision}, torch"
    return Loop(description, steps, evaluate, *_gauges(device))


def our_loop(config: Config, images: int) -> Loop:
    """The trainer of ``train``, without a run folder."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.closing(Console()) as console:
        parts = set_up_run(config, console)
    trainer = parts.trainer
    test = parts.data.test.take(torch.arange(images))

    def steps() -> Iterator[int]:
        try:
            for _ in trainer.fit():
                yield config.batch_size
        except DivergedError as error:
            raise UserError(f"bench: {error}; use a lower optimizer.lr") from error

    def evaluate() -> None:
        trainer.evaluate(test)

    description = f"{describe_device(trainer.device, parts.plan.threads)}, {parts.plan}"
    return Loop(description, steps(), evaluate, *_gauges(trainer.device))


def _gauges(device: torch.device) -> tuple[Callable[[], None], Callable[[], int]]:
    """``synchronize`` and ``peak_memory`` of a loop on ``device``."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device), lambda: torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return lambda: None, lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
