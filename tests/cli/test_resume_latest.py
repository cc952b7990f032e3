"""``resume=latest`` continues the newest run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mnist_lite.runner.summary import read_summary
from tests.conftest import QUICK, RunCommand

RUN = (*QUICK, "scheduler=constant")


@pytest.mark.parametrize("where", [(), ("runs_dir=mine",)])
def test_the_newest_run_is_continued(where: tuple[str, ...], call: RunCommand, tmp_path: Path):
    for seed in (1, 2):
        done = call("train", *RUN, f"seed={seed}", f"name=run{seed}", *where)
        assert done.returncode == 0, done.stderr
    root = tmp_path / ("mine" if where else "runs")
    for age, seed in enumerate((2, 1)):  # run 2 is the newest
        (folder,) = root.glob(f"*run{seed}")
        os.utime(folder / "config.yaml", (1_000_000 - age, 1_000_000 - age))
    done = call("train", "resume=latest", "epochs=2", *where)
    assert done.returncode == 0, done.stderr
    epochs = {path.name[-4:]: summary.epochs for path in root.iterdir() if (summary := read_summary(path))}
    assert epochs == {"run1": 1, "run2": 2}


def test_latest_without_a_run_is_one_line(call: RunCommand):
    done = call("train", "resume=latest")
    assert (done.returncode, done.stderr) == (2, "error: latest: there is no run in runs\n")
