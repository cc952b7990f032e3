"""An internal error of a sweep keeps its traceback; an error of the user or of a config file stays one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeps.commands import JOB

WORDS = ("-m", *JOB, "epochs=1", "scheduler=constant", "sweep.dir=sweep")
GRID = (*WORDS, "seed=1,2")
SEARCH = (*WORDS, "hydra/sweeper=optuna", "data.holdout=50", "optimizer.lr=interval(0.01,0.1)")


def run_with(fault: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command after the statement ``fault``, in which ``broken`` is a function that raises."""
    program = (
        "def broken(*arguments, **more):\n    raise ZeroDivisionError('made for the test')\n"
        f"{fault}\nfrom mnist_lite.train import main\nmain()"
    )
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("import mnist_lite.sweeps.grid as at; at.Grid.__init__ = broken", GRID),
        ("import mnist_lite.sweeps.grid as at; at.known_folders = broken", GRID),
        ("import mnist_lite.sweeps.run_local as at; at.default_workers = broken", GRID),
        ("import mnist_lite.sweeps.table as at; at.as_text = broken", (*GRID, "optimizer.lr=-1")),
        ("import mnist_lite.sweeps.search as at; at.Search.__init__ = broken", SEARCH),
        ("import mnist_lite.sweeps.search as at; at.Search.batches = broken", (*SEARCH, "hydra/launcher=basic")),
        ("import mnist_lite.sweeps.search_space as at; at.space_of = broken", SEARCH),
    ],
)
def test_an_internal_error_keeps_its_traceback(fault: str, words: tuple[str, ...], tmp_path: Path):
    done = run_with(fault, tmp_path, *words)
    assert done.returncode == 1, done.stderr
    assert "Traceback (most recent call last)" in done.stderr and "in broken" in done.stderr
    assert "cannot be composed" not in done.stderr and "given up" not in done.stderr


def test_an_internal_error_of_a_job_by_another_launcher_is_a_failure_with_a_traceback(tmp_path: Path):
    """Hydra's launchers keep what a job raised to themselves: the sweep ended with exit code 0."""
    done = run_with(
        "import mnist_lite.training.trainer as at; at.Trainer.fit = broken", tmp_path, *GRID, "hydra/launcher=basic"
    )
    assert done.returncode != 0 and done.stderr.count("FAILED  ") == 2, done.stderr
    assert "internal error: ZeroDivisionError: made for the test" in done.stderr and "2 failed" in done.stdout
    for path in tmp_path.glob("sweep/*/error.txt"):
        assert "Traceback (most recent call last)" in path.read_text() and "in broken" in path.read_text()
    assert len(list(tmp_path.glob("sweep/*/error.txt"))) == 2


def test_a_launcher_that_gives_up_keeps_its_traceback_and_the_sweep_its_table(tmp_path: Path):
    fault = "import hydra.core.utils as at; at.run_job = broken"  # before Hydra's launcher imports it
    done = run_with(fault, tmp_path, *SEARCH, "hydra/launcher=basic", "hydra.sweeper.n_trials=2")
    assert done.returncode == 1, done.stderr
    assert "in broken" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: the launcher has given up: made for the test"
    assert (tmp_path / "sweep" / "sweep.json").is_file()


@pytest.mark.parametrize("command", [GRID, ("-m", *JOB)])
def test_a_file_that_cannot_be_composed_is_one_line_for_each_job(command: tuple[str, ...], tmp_path: Path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "mine.yaml").write_text("layers: &a [*a]\n")
    done = run_with("", tmp_path, "--config-dir=mine", *command, "model=mine,mine")
    assert done.returncode != 0 and "Traceback" not in done.stderr, done.stderr
    assert all("cannot be composed" in line for line in done.stderr.splitlines()), done.stderr
