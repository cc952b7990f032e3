"""Faults at a known place of a run. A fault is called in the child process before the run, and changes what happens later."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mnist_lite.data import digits
from mnist_lite.runner import checkpoint
from mnist_lite.runner.run_loop import RunLoop
from mnist_lite.training.trainer import Trainer

PLACES = ("before fsync", "after fsync", "before replace", "after replace")


def at_step(step: int, fault: Callable[[], object]) -> None:
    """Calls ``fault`` when the ``step``-th step of this process begins; 0: in every step."""
    original, count = Trainer._train_step, 0

    def faulty(*arguments: Any) -> float:
        nonlocal count
        count += 1
        if step in (0, count):
            fault()
        return original(*arguments)

    setattr(Trainer, "_train_step", faulty)  # noqa: B010  (mypy knows the method)


def at_checkpoint(call: int, fault: Callable[[int], object]) -> None:
    """Calls ``fault`` with the size of the ``call``-th checkpoint file, best.pt included, before it is written."""
    original, count = checkpoint.pack, 0

    def faulty(state: dict[str, Any]) -> bytes:
        nonlocal count
        count += 1
        content = original(state)
        if count == call:
            fault(len(content))
        return content

    checkpoint.pack = faulty


@dataclass
class SignalAtStep:
    """Sends itself the signal ``number`` in the ``step``-th step of this process."""

    step: int
    number: int

    def __call__(self) -> None:
        at_step(self.step, lambda: os.kill(os.getpid(), self.number))


@dataclass
class SignalsAtStep:
    """Sends itself each of ``numbers``, ``pause`` seconds apart, in the ``step``-th step of this process."""

    step: int
    numbers: tuple[int, ...]
    pause: float

    def __call__(self) -> None:
        at_step(self.step, self._send)

    def _send(self) -> None:
        for number in self.numbers:
            os.kill(os.getpid(), number)
            time.sleep(self.pause)


@dataclass
class SignalIgnored:
    """The caller ignores the signal ``number``, which comes in the ``step``-th step."""

    step: int
    number: int

    def __call__(self) -> None:
        signal.signal(self.number, signal.SIG_IGN)
        at_step(self.step, lambda: os.kill(os.getpid(), self.number))


@dataclass
class SignalWhileLoading:
    """Sends itself the signal ``number`` while the data is loaded."""

    number: int

    def __call__(self) -> None:
        original = digits.load_digits

        def faulty() -> Any:
            os.kill(os.getpid(), self.number)
            return original()

        digits.load_digits = faulty


@dataclass
class SignalInWrite:
    """Sends itself ``number`` at one of ``PLACES`` in the ``call``-th call of this function."""

    place: str
    call: int
    number: int = signal.SIGKILL

    def __call__(self) -> None:
        when, what = self.place.split()
        owner: Any = os if what == "fsync" else pathlib.Path
        original, count = getattr(owner, what), 0

        def faulty(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == self.call and when == "before":
                os.kill(os.getpid(), self.number)
            result = original(*arguments)
            if count == self.call and when == "after":
                os.kill(os.getpid(), self.number)
            return result

        setattr(owner, what, faulty)


@dataclass
class LongStep:
    """The first step makes the file ``began`` and then stays in one call of C code for minutes."""

    began: str

    def __call__(self) -> None:
        at_step(1, self._hang)

    def _hang(self) -> None:
        pathlib.Path(self.began).touch()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # releases Python's lock, as torch does


@dataclass
class ClosedOutput:
    """Nobody reads standard output and standard error."""

    def __call__(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)


@dataclass
class OtherImages:
    """The data has changed: one pixel of one image."""

    def __call__(self) -> None:
        train, _ = digits.load_digits()
        train.images[0, 0, 0, 0] += 7


@dataclass
class KilledMidWrite:
    """The kernel kills the process in the ``call``-th checkpoint, after the fraction ``part`` of its bytes."""

    call: int
    part: float

    def __call__(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        at_checkpoint(self.call, self._limit)

    def _limit(self, bytes_: int) -> None:
        size = max(1, int(self.part * bytes_))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@dataclass
class DiskFull:
    """From the ``call``-th checkpoint on, no file can be larger than the fraction ``part`` of it.

    Then writes fail, as they do on a full disk.
    """

    call: int
    part: float = 0.5

    def __call__(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails with an error
        at_checkpoint(self.call, self._limit)

    def _limit(self, bytes_: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(self.part * bytes_), resource.RLIM_INFINITY))


@dataclass
class DiskFullFromTheStart:
    """No byte can be written into any file, from the first folder that the run makes on."""

    def __call__(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        original = pathlib.Path.mkdir

        def faulty(*arguments: Any, **options: Any) -> None:
            original(*arguments, **options)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

        setattr(pathlib.Path, "mkdir", faulty)  # noqa: B010


@dataclass
class FolderLocked:
    """Writing into the run folder is forbidden from the ``step``-th step on, for a user who is not root."""

    step: int

    def __call__(self) -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)
        at_step(self.step, self._lock)

    def _lock(self) -> None:
        (run,) = pathlib.Path("runs").iterdir()
        run.chmod(0o555)


@dataclass
class SlowSteps:
    """Each step takes ``seconds`` longer."""

    seconds: float

    def __call__(self) -> None:
        at_step(0, lambda: time.sleep(self.seconds))


@dataclass
class SimulatedTime:
    """The clock shows ``step`` seconds for each step, ``save`` for each checkpoint, and 0 for all else.

    The file ``record`` lists when the checkpoints began.
    """

    step: float
    save: float
    record: str

    def __call__(self) -> None:
        now, times, original = 0.0, list[float](), RunLoop._save

        def pass_time(seconds: float) -> None:
            nonlocal now
            now += seconds

        def save(run: RunLoop) -> None:
            original(run)
            times.append(now)
            pass_time(self.save)
            pathlib.Path(self.record).write_text(json.dumps(times), encoding="utf-8")

        time.monotonic = time.perf_counter = lambda: now
        setattr(RunLoop, "_save", save)  # noqa: B010
        at_step(0, lambda: pass_time(self.step))
