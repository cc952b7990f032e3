"""Paired timing of training loops: each loop has its own process, and the loops are measured alternating (A B A B).

While one loop is measured, the other ones wait. This module imports no torch and knows nothing about the loops.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from mnist_lite.config.schema import Config
from mnist_lite.errors import RunError, UserError
from mnist_lite.process.startup import Cleanup, keep_streams_usable, start_without_ctrl_c

WARM_UP_IMAGES = 2_000


@dataclass
class Timing:
    """The measurements of one loop."""

    description: str = ""
    """Device, precision and backend in words."""
    first_step: float = 0.0
    """Seconds from the start of the process to the end of the first training step. Includes imports and reading the data."""
    training: list[float] = field(default_factory=list)
    """Images per second, round by round."""
    evaluation: list[float] = field(default_factory=list)
    """Images per second, round by round."""
    peak_memory: int = 0
    """Bytes: of the process on the CPU, of torch's allocator on CUDA."""
    loss: float = 0.0
    """The training loss of the last step."""


class Step(NamedTuple):
    """One training step, or some steps that the loop can only make together."""

    images: int
    loss: Any
    """A number or an array with one number, which may not be computed yet."""


@dataclass
class Loop:
    """A loop that can be measured."""

    description: str
    steps: Iterator[Step]
    evaluate: Callable[[], int]
    """Returns the number of images: 0 for a loop that only trains."""
    synchronize: Callable[[], None]
    """Waits until the device has finished."""
    peak_memory: Callable[[], int]
    loss: Any = 0.0
    """The training loss of the last step."""

    def train(self, images: int) -> int:
        """Makes whole steps until at least ``images`` images are done. Returns the number of images."""
        done = 0
        while done < images:
            step = next(self.steps)
            done += step.images
            self.loss = step.loss
        self.loss = float(self.loss)
        self.synchronize()
        return done


MakeLoop = Callable[[Config, int], Loop]
"""``make_loop(config, images)``: a loop that evaluates ``images`` test images. It is called in the process of the loop."""


def run_ab(
    config: Config,
    loops: Sequence[MakeLoop],
    rounds: int,
    images: int,
    report: Callable[[str], None],
    evaluation: bool = True,
) -> list[Timing]:
    """The timings of ``loops``, over ``rounds`` rounds of ``images`` images. ``report`` gets one line per round.

    ``evaluation=False``: only the training is measured.

    Raises:
        UserError: a loop does not support ``config``.
        RunError: a loop has failed.
    """
    workers = [_Worker(make_loop, config, images) for make_loop in loops]
    with Cleanup():
        try:
            for worker in workers:
                worker.start()
            for number in range(1, rounds + 1):
                for worker in workers:
                    worker.timing.training.append(worker.images_per_second("train"))
                rates = ", ".join(f"{worker.timing.training[-1]:,.0f}" for worker in workers)
                report(f"round {number}/{rounds}: {rates} images/s")
            for _ in range(rounds if evaluation else 0):
                for worker in workers:
                    worker.timing.evaluation.append(worker.images_per_second("evaluate"))
            for worker in workers:
                worker.timing.peak_memory, worker.timing.loss = worker.ask("peak_memory"), worker.ask("loss")
        except KeyboardInterrupt:
            for worker in workers:
                worker.kill()
            raise
        finally:
            for worker in workers:
                worker.close()
    return [worker.timing for worker in workers]


class _Worker:
    """The process of one loop, as the parent sees it."""

    def __init__(self, make_loop: MakeLoop, config: Config, images: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, self._child_pipe = context.Pipe()
        # Not a daemon: a daemon must not have child processes, and the DataLoader of the plain loop starts some.
        self._process = context.Process(target=_serve, args=(make_loop, config, images, self._child_pipe))
        self._images = images
        self.timing = Timing()

    def start(self) -> None:
        """Starts the process, waits for its first step and for its warm-up."""
        started = time.perf_counter()
        start_without_ctrl_c(self._process)
        self._child_pipe.close()
        self.timing.description = self._receive()
        self.timing.first_step = time.perf_counter() - started
        self._receive()
        self._signal(signal.SIGSTOP)

    def images_per_second(self, command: str) -> float:
        started = time.perf_counter()
        images = self.ask(command)
        return float(images / (time.perf_counter() - started))

    def ask(self, command: str) -> Any:
        """The answer to ``command``. Between two commands the process and its child processes are stopped.

        The workers of a ``DataLoader`` would read ahead while another loop is measured.
        """
        self._signal(signal.SIGCONT)
        self._pipe.send(command)
        answer = self._receive()
        self._signal(signal.SIGSTOP)
        return answer

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            raise RunError("bench: a loop has failed; its error is above") from error
        if isinstance(answer, UserError):
            raise answer
        return answer

    def kill(self) -> None:
        """Ends the process and its child processes immediately."""
        if self._process.pid is not None and not self._signal(signal.SIGKILL):
            self._process.kill()

    def close(self) -> None:
        self._pipe.close()  # the process ends when it reads the end of the pipe
        if self._process.pid is not None:
            self._signal(signal.SIGCONT)
            self._process.join()

    def _signal(self, number: int) -> bool:
        """Sends a signal to the process and its child processes. False: it has no group yet, or has ended."""
        assert self._process.pid is not None
        try:
            os.killpg(self._process.pid, number)
        except OSError:
            return False
        return True


def _serve(make_loop: MakeLoop, config: Config, images: int, pipe: Connection) -> None:
    """The process of one loop: answers the commands of the parent."""
    os.setpgid(0, 0)  # a process group, so that the parent can kill this process together with its child processes
    keep_streams_usable()
    try:
        loop = make_loop(config, images)
        loop.train(1)
        pipe.send(loop.description)
        loop.train(WARM_UP_IMAGES)
        loop.evaluate()
        pipe.send(None)
        commands: dict[str, Callable[[], Any]] = {
            "train": lambda: loop.train(images),
            "evaluate": loop.evaluate,
            "peak_memory": loop.peak_memory,
            "loss": lambda: loop.loss,
        }
        while True:
            pipe.send(commands[pipe.recv()]())
    except UserError as error:
        pipe.send(error)
    except (EOFError, BrokenPipeError):
        pass  # the parent process has closed the pipe
