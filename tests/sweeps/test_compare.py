"""The compare command's own part: what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mnist_lite.sweeps import verify
from mnist_lite.sweeps.table import read
from tests.conftest import RunCommand
from tests.sweeps.commands import JOB, run


def test_a_folder_that_is_no_sweep(run_command: RunCommand, tmp_path: Path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = run_command("compare", str(folder))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: compare: {folder} is not the folder of a sweep: it has no jobs in jobs.jsonl\n"


def test_a_plan_that_is_damaged(run_command: RunCommand, tmp_path: Path):
    (tmp_path / "jobs.jsonl").write_text("{\n")
    done = run_command("compare", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: line 1 of {tmp_path}/jobs.jsonl is not a job. If you remove")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two real runs."""
    folder = tmp_path_factory.mktemp("finished")
    code, text = run(folder, "-m", *JOB, "epochs=2", "scheduler=constant", "seed=1,2")
    assert code == 0, text
    return folder / "sweep"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copied"))


def test_a_sweep_that_nobody_edited_has_no_differences(copied: Path, run_command: RunCommand):
    done = run_command("compare", str(copied), "verify=true")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("accuracy", "test", "final"), "accuracy.test.final is 99.9 in summary.json"),
        (("accuracy", "test", "best"), "accuracy.test.best is 99.9"),
        (("accuracy", "train", "final"), "accuracy.train.final is 99.9"),
        (("accuracy", "test", "by_epoch"), "accuracy.test.by_epoch is [99.9]"),
        (("seconds", "train"), "seconds.train is 99.9"),
        (("epochs",), "epochs is 99.9"),
    ],
)
def test_a_summary_that_was_edited_is_named(keys, said, copied: Path, run_command: RunCommand):
    path = next(copied.glob("*seed=2*/summary.json"))
    summary = node = json.loads(path.read_text())
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = [99.9] if keys[-1] == "by_epoch" else 99.9
    path.write_text(json.dumps(summary))
    done = run_command("compare", str(copied))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"warning: {path.parent.name}: {said}") and "follows from metrics.jsonl" in line


@pytest.mark.parametrize("damage", [None, b"", b"{\n", b'{"test/accuracy": 3}\n'])
def test_metrics_that_cannot_be_read_are_named(damage, copied: Path):
    path = next(copied.glob("*seed=2*/metrics.jsonl"))
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    (line,) = verify.differences(path.parent)
    assert line.startswith("metrics.jsonl ")


def test_of_many_runs_those_of_the_best_groups_are_checked(copied: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "CHECKED", 1)
    rows = read(copied)
    (best,) = verify.to_verify(rows)
    assert best.final == max(row.final or 0 for row in rows)
