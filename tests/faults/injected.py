"""Faults that strike a run from inside, at a place that is known; each is called in the child before the command."""

from __future__ import annotations

import os
import pathlib
import resource
import signal
from dataclasses import dataclass
from typing import Any

from mnist_lite import checkpoint
from mnist_lite.engine import Trainer


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
