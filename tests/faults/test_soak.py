"""Many runs in one process: what a sweep or a notebook does all night."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

CODE = """
import json, sys
from tests.faults.test_soak import soak
print(json.dumps(soak(int(sys.argv[1]), sys.argv[2])))
"""
MEGABYTE = 1 << 20


def soak(runs: int, folder: str) -> list[dict[str, int]]:
    """The state of the process after every tenth of ``runs`` runs; each of those is extended too."""
    import contextlib

    from hydra import compose, initialize_config_dir

    from mnist_lite.config.compose import config_dir
    from mnist_lite.config.hydra_versions import VERSION_BASE
    from mnist_lite.config.schema import Config, validate
    from mnist_lite.runner import run

    few = ("data=digits", "data.train_limit=60", "data.test_limit=20", "batch_size=20", "epochs=1", "model=step4")
    states = []
    with initialize_config_dir(str(config_dir()), **VERSION_BASE):
        base = compose("config", [*few, f"runs_dir={folder}", "name=soak", "threads=1", "scheduler=constant"])
    for number in range(runs):
        config = validate(base, Config)
        config.seed = number
        with contextlib.redirect_stdout(sys.stderr):
            assert run.run(config) == 0
            if number % 10 < 9:
                continue
            config.resume, config.epochs = str(max(Path(folder).iterdir(), key=os.path.getmtime)), 2
            assert run.run(config) == 0
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        states.append(
            {
                "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
                "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
                "threads": threading.active_count(),
                "objects": len(gc.get_objects()),
            }
        )
    return states


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("runs", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_runs_in_a_row_do_not_grow(runs: int, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(runs), str(tmp_path / "runs")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    states = json.loads(done.stdout)
    assert 10 * len(states) == runs == len(list((tmp_path / "runs").iterdir()))
    early, late = states[len(states) // 4], states[-1]
    print(early, late)
    assert late["files"] == early["files"]
    assert late["threads"] == early["threads"]
    assert late["objects"] - early["objects"] < 5 * runs  # Python's own; a run makes 10,000 and more
    assert late["bytes"] - early["bytes"] < 30 * MEGABYTE, [
        state["bytes"] // MEGABYTE for state in states[:: runs // 10]
    ]
