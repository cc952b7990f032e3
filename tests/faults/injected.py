"""Faults that strike a run from inside, at a place that is known; each is called in the child before the command."""

from __future__ import annotations

import json
import os
import pathlib
import resource
import signal
import time
from dataclasses import dataclass
from typing import Any

from mnist_lite.runner import checkpoint
from mnist_lite.runner.run import Run
from mnist_lite.training.trainer import Trainer


@dataclass
class SignalAtStep:
    """Sends itself ``number`` in the middle of the ``step``-th step that this process trains."""

    step: int
    number: int

    def __call__(self) -> None:
        """Arms it."""
        original, count = Trainer._train_step, 0

        def stricken(*arguments: Any) -> float:
            nonlocal count
            count += 1
            if count == self.step:
                os.kill(os.getpid(), self.number)
            return original(*arguments)

        setattr(Trainer, "_train_step", stricken)  # noqa: B010  (mypy knows the method)


@dataclass
class SignalsAtStep:
    """Sends itself each of ``numbers``, ``pause`` seconds apart, in the ``step``-th step that this process trains."""

    step: int
    numbers: tuple[int, ...]
    pause: float

    def __call__(self) -> None:
        """Arms it."""
        original, count = Trainer._train_step, 0

        def stricken(*arguments: Any) -> float:
            nonlocal count
            count += 1
            for number in self.numbers if count == self.step else ():
                os.kill(os.getpid(), number)
                time.sleep(self.pause)
            return original(*arguments)

        setattr(Trainer, "_train_step", stricken)  # noqa: B010


PLACES = ("before fsync", "after fsync", "before replace", "after replace")


@dataclass
class SignalInWrite:
    """Sends itself ``number`` at one of ``PLACES`` of the ``call``-th time that a write comes by there."""

    place: str
    call: int
    number: int = signal.SIGKILL

    def __call__(self) -> None:
        """Arms it."""
        when, what = self.place.split()
        owner: Any = os if what == "fsync" else pathlib.Path
        original, count = getattr(owner, what), 0

        def stricken(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == self.call and when == "before":
                os.kill(os.getpid(), self.number)
            result = original(*arguments)
            if count == self.call and when == "after":
                os.kill(os.getpid(), self.number)
            return result

        setattr(owner, what, stricken)


@dataclass
class KilledMidWrite:
    """The kernel kills the process in the middle of the ``call``-th checkpoint, at a part of its bytes."""

    call: int
    part: float

    def __call__(self) -> None:
        """Arms it."""
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        original, count = checkpoint.pack, 0

        def stricken(state: dict[str, Any]) -> bytes:
            nonlocal count
            count += 1
            content = original(state)
            if count == self.call:
                size = max(1, int(self.part * len(content)))
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            return content

        checkpoint.pack = stricken


@dataclass
class DiskFull:
    """No file can grow over a part of the ``call``-th checkpoint's size from then on: what a full disk or a quota does."""

    call: int
    part: float = 0.5

    def __call__(self) -> None:
        """Arms it; Python ignores SIGXFSZ, so that the write fails with an error."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        original, count = checkpoint.pack, 0

        def stricken(state: dict[str, Any]) -> bytes:
            nonlocal count
            count += 1
            content = original(state)
            if count == self.call:
                size = int(self.part * len(content))
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            return content

        checkpoint.pack = stricken


@dataclass
class DiskFullFromTheStart:
    """Not a byte can be written into any file."""

    def __call__(self) -> None:
        """Arms it when the run begins to write."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        original = pathlib.Path.mkdir

        def stricken(*arguments: Any, **options: Any) -> None:
            original(*arguments, **options)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

        setattr(pathlib.Path, "mkdir", stricken)  # noqa: B010


@dataclass
class FolderLocked:
    """A user whom permissions hold back (root is not), and whose run folder is closed to writing before ``step``."""

    step: int

    def __call__(self) -> None:
        """Arms it."""
        if os.geteuid() == 0:
            os.seteuid(65534)
        original, count = Trainer._train_step, 0

        def stricken(*arguments: Any) -> float:
            nonlocal count
            count += 1
            if count == self.step:
                (run,) = pathlib.Path("runs").iterdir()
                run.chmod(0o555)
            return original(*arguments)

        setattr(Trainer, "_train_step", stricken)  # noqa: B010


@dataclass
class SlowSteps:
    """Every step takes ``seconds`` longer; what checkpoints cost goes into ``record``."""

    seconds: float
    record: str | None = None

    def __call__(self) -> None:
        """Arms it."""
        train_step, save = Trainer._train_step, Run._save
        costs: list[float] = []
        began = time.perf_counter()

        def slow(*arguments: Any) -> float:
            time.sleep(self.seconds)
            return train_step(*arguments)

        def timed(run: Any) -> None:
            started = time.perf_counter()
            save(run)
            costs.append(time.perf_counter() - started)
            if self.record:
                figures = {
                    "checkpoints": len(costs),
                    "after the first": sum(costs[1:]),
                    "all": time.perf_counter() - began,
                }
                pathlib.Path(self.record).write_text(json.dumps(figures), encoding="utf-8")

        setattr(Trainer, "_train_step", slow)  # noqa: B010
        setattr(Run, "_save", timed)  # noqa: B010
