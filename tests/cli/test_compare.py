"""The command line of compare: one sweep is what it always was, everything else is a comparison of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_lite.runner.config_file import as_yaml
from tests.conftest import Compose, RunCommand
from tests.sweeps.fake_sweep import write_grid


@pytest.fixture
def sweep(composed: Compose, tmp_path: Path) -> Path:
    """A sweep over two learning rates with three seeds. All jobs have a config."""
    folder = tmp_path / "runs" / "sweeps" / "lr"
    folder.mkdir(parents=True)
    write_grid(folder, {"0.1": [99.1, 99.2, 99.3], "0.2": [98.0, 98.1, 98.2]})
    for lr in ("0.1", "0.2"):
        config = as_yaml(composed(f"optimizer.lr={lr}"))
        for job in folder.glob(f"run_{lr}_*"):
            (job / "config.yaml").write_bytes(config)
    return folder


def test_one_sweep_has_its_own_table_and_pictures(sweep: Path, call: RunCommand):
    done = call("compare", "runs/sweeps/lr")
    assert done.returncode == 0, done.stderr
    assert "final test accuracy" in done.stdout and "6 jobs: 6 done" in done.stdout
    assert (sweep / "sweep.csv").is_file() and (sweep / "curves.png").is_file()


def test_a_sweep_and_a_run_are_compared(sweep: Path, call: RunCommand):
    done = call("compare", "runs/sweeps/lr", "latest", "output=out")
    assert done.returncode == 0, done.stderr
    assert "Is A better than B? Yes: the mean difference is +1.100 percentage points over 3 seeds" in done.stdout
    assert not (sweep / "sweep.csv").exists() and Path("out/comparison.md").is_file()


def test_one_sweep_with_an_output_is_compared_there(sweep: Path, call: RunCommand):
    assert call("compare", "runs/sweeps/lr", "output=out").returncode == 0
    assert Path("out/comparison_parameters.png").is_file() and not (sweep / "sweep.csv").exists()


@pytest.mark.parametrize("arguments", [("nowhere",), ("runs/sweeps/lr", "nowhere"), ("out=x",), ("latest", "verify=1")])
def test_bad_input_is_one_line(arguments: tuple[str, ...], sweep: Path, call: RunCommand):
    done = call("compare", *arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stdout == ""
