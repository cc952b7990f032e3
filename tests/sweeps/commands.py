"""A whole sweep by the real command, for tests to interrupt, kill and compare."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.child import hear_signals
from tests.faults.compare import assert_same_run
from tests.faults.recipes import FEW

JOB = (*(word for word in FEW if word != "threads=1"), "model=era4", "augment=rotation")
SWEEP = ("-m", *JOB, "checkpoint.steps=2", "optimizer.lr=0.01,0.03", "seed=1,2")


class Sweep:
    """The command, running."""

    def __init__(
        self, folder: Path, *words: str, own_group: bool = False, before: Callable[[], None] = hear_signals
    ) -> None:
        """With ``own_group`` it leads a process group, which a test may signal as a whole; ``before`` is called in it first."""
        self.folder = folder / "sweep"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mnist_lite.train", *words, f"sweep.dir={self.folder}"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=own_group,
            preexec_fn=before,  # noqa: PLW1509  nothing but calls of the system is made there
        )

    def end(self) -> tuple[int, str]:
        text, _ = self.process.communicate(timeout=120)
        return self.process.returncode, text

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None
            time.sleep(0.02)

    def wait_for_the_end_of(self, workers: list[int]) -> None:
        end = time.monotonic() + 60
        while not all(gone(pid) for pid in workers):
            assert time.monotonic() < end
            time.sleep(0.05)

    def checkpoints(self) -> int:
        return len(list(self.folder.glob("*/last.pt")))

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def run(folder: Path, *words: str) -> tuple[int, str]:
    return Sweep(folder, *words).end()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")


def assert_same_sweep(found: Path, expected: Path) -> None:
    names = sorted(path.parent.name for path in expected.glob("*/summary.json"))
    assert names
    assert sorted(path.parent.name for path in found.glob("*/summary.json")) == names
    for name in names:
        assert_same_run(found / name, expected / name)
    assert not list(found.glob("*/error.txt"))


def assert_goes_on_to_the_same(folder: Path, expected: Path) -> None:
    code, text = run(folder, *SWEEP)
    assert code == 0, text
    assert_same_sweep(folder / "sweep", expected)
