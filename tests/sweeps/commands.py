"""Sweeps by the real command in a subprocess with real workers, for tests that stop, kill and compare."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

import pytest

from tests.faults.child import default_signals
from tests.faults.compare import assert_same_run
from tests.faults.recipes import FEW

JOB = (*(override for override in FEW if override != "threads=1"), "model=era4", "augment=rotation")
SWEEP = ("-m", *JOB, "checkpoint.steps=2", "optimizer.lr=0.01,0.03", "seed=1,2")
TIMEOUT = 120.0

linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")


class Sweep:
    """A train command that is running. The folder of its sweep is ``folder / "sweep"``."""

    started: ClassVar[list[subprocess.Popen[str]]] = []
    """The processes of the current test. A fixture kills those that a failed test left running."""

    def __init__(
        self, folder: Path, *arguments: str, own_group: bool = False, before: Callable[[], None] = default_signals
    ) -> None:
        """``own_group``: the command leads a process group. ``before`` is called in the new process, before the command."""
        self.folder = folder / "sweep"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mnist_lite.train", *arguments, f"sweep.dir={self.folder}"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=own_group,
            preexec_fn=before,  # noqa: PLW1509  it makes system calls only
        )
        self.started.append(self.process)

    def end(self) -> tuple[int, str]:
        """Waits for the end. Returns the exit code and the output."""
        text, _ = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, text

    def wait_for(self, condition: Callable[[], bool]) -> None:
        wait_for(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, self.end()

    def checkpoints(self) -> int:
        """The number of jobs with a checkpoint."""
        return len(list(self.folder.glob("*/last.pt")))

    def servers(self) -> list[int]:
        """The process id of the server from which the workers are forked, if it has started."""
        name = b"multiprocessing.forkserver"
        return [pid for pid in children(self.process.pid) if name in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return [worker for server in self.servers() for worker in children(server)]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Runs a train command to its end. Returns the exit code and the output."""
    return Sweep(folder, *arguments).end()


def wait_for(condition: Callable[[], bool], seconds: float = TIMEOUT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def all_ended(pids: Iterable[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_same_sweep(folder: Path, expected: Path) -> None:
    """The runs of both sweeps are the same, bit for bit."""
    names = sorted(path.parent.name for path in expected.glob("*/summary.json"))
    assert names
    assert sorted(path.parent.name for path in folder.glob("*/summary.json")) == names
    for name in names:
        assert_same_run(folder / name, expected / name)
    assert not list(folder.glob("*/error.txt"))
