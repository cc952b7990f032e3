"""Fixtures for tests of sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweeps import inline
from tests.sweeps.commands import SWEEP, Sweep
from tests.sweeps.fake_sweep import write_manifest, write_run


@pytest.fixture(autouse=True)
def no_sweep_keeps_running() -> Iterator[None]:
    """Kills the commands that a failed test left running. Their workers end with them."""
    yield
    while Sweep.started:
        process = Sweep.started.pop()
        process.kill()
        process.wait()


@pytest.fixture
def mixed_sweep(tmp_path: Path) -> Path:
    """Two learning rates with three seeds each. Four jobs are done, one failed, one was interrupted; a seventh is invalid."""
    entries = []
    for lr, accuracy in (("0.01", 99.0), ("0.1", 90.0)):
        for seed in range(3):
            name = f"run_{lr}_{seed}"
            entries.append({"overrides": ["model=era4", f"optimizer.lr={lr}", f"seed={seed}"], "folder": name})
            if (lr, seed) not in {("0.1", 1), ("0.1", 2)}:
                write_run(tmp_path, name, [accuracy - 5, accuracy + seed / 10], seed)
    (tmp_path / "run_0.1_1").mkdir()
    (tmp_path / "run_0.1_1" / "error.txt").write_text("out of memory\n")
    (tmp_path / "run_0.1_2").mkdir()
    (tmp_path / "run_0.1_2" / "config.yaml").write_text("seed: 2\n")
    entries.append({"overrides": ["model=era4", "optimizer.lr=-1", "seed=0"], "error": "out of range"})
    write_manifest(tmp_path, entries)
    return tmp_path


@pytest.fixture
def run_inline(tmp_path: Path) -> inline.RunInline:
    """``run_inline("-m", ...)``: the train command in this process. The sweep's folder is ``tmp_path / "sweep"``."""
    return lambda *arguments: inline.train(tmp_path, *arguments, f"sweep.dir={tmp_path / 'sweep'}")


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was not interrupted."""
    folder = tmp_path_factory.mktemp("reference")
    code, text = inline.train(folder, *SWEEP, f"sweep.dir={folder / 'sweep'}")
    assert code == 0, text
    assert text.count(" %  optimizer.lr=") == 4
    return folder / "sweep"
