"""Two training loops in processes of their own that work in turn, each while the other waits: the measuring behind ``bench``."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mnist_lite.config.schema import Config
from mnist_lite.errors import RunError, UserError
from mnist_lite.process.startup import Cleanup, keep_streams_usable, start_without_ctrl_c

WARM_UP_IMAGES = 2_000


@dataclass
class Timing:
    """What was measured of one loop."""

    how: str = ""
    """Device, precision, and so on, in words."""
    first_step: float = 0.0
    """Seconds from the start of the process to the end of the first training step; imports and reading of data are in it."""
    training: list[float] = field(default_factory=list)
    """Images per second, of every round."""
    evaluation: list[float] = field(default_factory=list)
    """Images per second, of every round."""
    memory: int = 0
    """The most that was held, in bytes: by the process, or on CUDA by torch on the device."""


@dataclass(frozen=True)
class Loop:
    """What a worker can do."""

    how: str
    steps: Iterator[int]
    """A training step each; gives the number of its images."""
    evaluate: Callable[[], None]
    wait: Callable[[], None]
    """Until the device has done all that it was given."""
    memory: Callable[[], int]

    def train(self, images: int) -> None:
        """Whole steps of at least ``images`` images."""
        while images > 0:
            images -= next(self.steps)
        self.wait()


def run_ab(
    config: Config,
    makers: tuple[Callable[[Config, int], Loop], ...],
    rounds: int,
    images: int,
    report: Callable[[str], None],
) -> list[Timing]:
    """The figures of every loop, measured in turn: A B A B.

    ``makers`` build a loop from ``config`` that evaluates so many images.

    Raises:
        UserError: a loop cannot do what ``config`` says.
        RunError: a loop has failed.
    """
    workers = [_Worker(maker, config, images) for maker in makers]
    with Cleanup():
        try:
            for worker in workers:
                worker.start()
            for number in range(1, rounds + 1):
                for worker in workers:
                    worker.side.training.append(worker.rate("train", images))
                last = [worker.side.training[-1] for worker in workers]
                report(f"round {number}/{rounds}: " + ", ".join(f"{rate:,.0f}" for rate in last) + " images/s")
            for _ in range(rounds):
                for worker in workers:
                    worker.side.evaluation.append(worker.rate("evaluate", images))
            for worker in workers:
                worker.side.memory = worker.ask("memory")
        except KeyboardInterrupt:
            for worker in workers:
                worker.kill()
            raise
        finally:
            for worker in workers:
                worker.close()
    return [worker.side for worker in workers]


class _Worker:
    def __init__(self, maker: Callable[[Config, int], Loop], config: Config, images: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # no daemon: the plain loop has loaders of its own, which are processes too
        self._process = context.Process(target=_serve, args=(maker, config, images, theirs))
        self._theirs = theirs
        self.side = Timing()

    def start(self) -> None:
        started = time.perf_counter()
        start_without_ctrl_c(self._process)
        self._theirs.close()
        self.side.how = self._receive()
        self.side.first_step = time.perf_counter() - started
        self.ask("warm up")

    def rate(self, what: str, images: int) -> float:
        started = time.perf_counter()
        self.ask(what)
        return images / (time.perf_counter() - started)

    def ask(self, what: str) -> Any:
        self._pipe.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            raise RunError("bench: a loop has failed; what it said is above") from error
        if isinstance(answer, UserError):
            raise answer
        return answer

    def kill(self) -> None:
        """Ends the worker in the middle of a round, and the loaders that it has started."""
        if self._process.pid is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except OSError:  # it has not made its group yet, or it has ended
            self._process.kill()

    def close(self) -> None:
        self._pipe.close()  # which ends the worker
        if self._process.pid is not None:
            self._process.join()


def _serve(maker: Callable[[Config, int], Loop], config: Config, images: int, pipe: Connection) -> None:
    os.setpgid(0, 0)  # a group of its own, so that it and its loaders can be ended at once
    keep_streams_usable()
    try:
        loop = maker(config, images)
        loop.train(1)
        pipe.send(loop.how)
        while True:
            what = pipe.recv()
            if what == "memory":
                pipe.send(loop.memory())
                continue
            if what != "evaluate":
                loop.train(images if what == "train" else WARM_UP_IMAGES)
            if what != "train":
                loop.evaluate()
            pipe.send(None)
    except UserError as error:
        pipe.send(error)
    except (EOFError, BrokenPipeError):
        pass  # the parent process has ended


def baseline_loop(config: Config, images: int) -> Loop:
    """The loop of ``plain.py`` on the network, optimiser and augmentation of ``config``; its rate stays what it is."""

    from mnist_lite.backends.device import describe_device, pick_device, set_threads
    from mnist_lite.benchmark import baseline
    from mnist_lite.model.build import build
    from mnist_lite.training.optimizer import build_optimizer

    device = pick_device(config.device)
    threads = set_threads(config.threads)
    network = build(config.model, config.init).module.to(device)
    optimizer = build_optimizer(config.optimizer, network)
    root = Path(config.data.root).expanduser()
    steps = baseline.train(root, network, optimizer, config.augment["transforms"], config.batch_size, device)

    def evaluate() -> None:
        baseline.test(root, network, images, device)

    precision = "fp32 with TF32 in convolutions" if device.type == "cuda" else "fp32"  # torch's defaults
    return Loop(f"{describe_device(device, threads)}, {precision}, torch", steps, evaluate, *_gauges(device))


def our_loop(config: Config, images: int) -> Loop:
    """What ``train`` does, without a run folder."""
    import torch

    from mnist_lite.backends.device import describe_device
    from mnist_lite.reporting.console import Console
    from mnist_lite.runner.setup import set_up_run
    from mnist_lite.training.trainer import DivergedError

    with contextlib.redirect_stdout(io.StringIO()), contextlib.closing(Console()) as nobody:
        parts = set_up_run(config, nobody)
    trainer = parts.trainer
    test = parts.data.test.take(torch.arange(images))

    def steps() -> Iterator[int]:
        try:
            for _ in trainer.fit():
                yield config.batch_size
        except DivergedError as error:
            raise UserError(f"bench: {error}; take a lower optimizer.lr") from error

    def evaluate() -> None:
        trainer.evaluate(test)

    return Loop(
        f"{describe_device(trainer.device, parts.plan.threads)}, {parts.plan}",
        steps(),
        evaluate,
        *_gauges(trainer.device),
    )


def _gauges(device: Any) -> tuple[Callable[[], None], Callable[[], int]]:
    import torch

    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device), lambda: torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return lambda: None, lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
