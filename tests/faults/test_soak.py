"""Many runs in one process, as in a notebook or in a worker of a sweep."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from mnist_lite.config.schema import Config, validate
from mnist_lite.reporting import curves
from mnist_lite.runner import run
from tests.faults.child import DRAW_CURVES, composed, run_child
from tests.faults.recipes import FEW, SMALL

EXTENDED = 5
"""Every fifth run is extended by an epoch, with a picture. Then the state of the process is recorded."""
MEGABYTE = 1 << 20


@dataclass
class Soak:
    """``runs`` short runs. The recorded states are written to ``file``."""

    runs: int
    file: str

    def __call__(self) -> None:
        states = [self._five_runs(5 * number) for number in range(self.runs // EXTENDED)]
        Path(self.file).write_text(json.dumps(states), encoding="utf-8")
        sys.exit(0)

    def _five_runs(self, first: int) -> dict[str, int]:
        config = validate(composed(*FEW[:4], *FEW[5:], *SMALL, "epochs=1", "scheduler=constant"), Config)
        for seed in range(first, first + EXTENDED):
            config.seed = seed
            assert run.run(config) == 0
        newest = max(Path(config.runs_dir).iterdir(), key=os.path.getmtime)
        config.resume, config.epochs = str(newest), 2
        curves.draw, no_picture = DRAW_CURVES, curves.draw
        assert run.run(config) == 0
        curves.draw = no_picture
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        return {
            "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
            "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            "threads": threading.active_count(),
            "objects": len(gc.get_objects()),
        }


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("runs", [20, pytest.param(2000, marks=pytest.mark.long)])
def test_many_runs_do_not_grow(runs: int, tmp_path: Path):
    done = run_child(tmp_path, Soak(runs, "states.json"), timeout=60 + 5 * runs)
    assert done.code == 0, done.text[-3000:]
    states = json.loads((tmp_path / "states.json").read_text(encoding="utf-8"))
    assert EXTENDED * len(states) == runs == len(list((tmp_path / "runs").iterdir()))
    early, late = states[1], states[-1]
    assert late["files"] <= early["files"]
    assert late["threads"] == early["threads"]
    assert late["objects"] - early["objects"] < 5 * runs  # a run makes more than 10,000 objects
    assert late["bytes"] - early["bytes"] < 30 * MEGABYTE, [state["bytes"] // MEGABYTE for state in states]
