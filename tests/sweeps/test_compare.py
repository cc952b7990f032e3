"""The compare command: which folders it refuses, and how it checks the summaries of runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mnist_lite.errors import UserError
from mnist_lite.sweeps import compare as module
from mnist_lite.sweeps.compare import compare, differences, rows_to_verify
from mnist_lite.sweeps.results import read_results
from tests.conftest import RunCommand
from tests.sweeps import inline
from tests.sweeps.commands import JOB


def test_a_folder_without_a_manifest_is_refused(run_command: RunCommand, tmp_path: Path):
    done = run_command("compare", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: compare: {tmp_path} is not the folder of a sweep: it has no jobs in jobs.jsonl\n"
    with pytest.raises(UserError, match="is not the folder of a sweep"):
        compare(tmp_path / "nowhere", verify=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two real runs."""
    folder = tmp_path_factory.mktemp("finished")
    arguments = ("-m", *JOB, "epochs=2", "scheduler=constant", "seed=1,2", f"sweep.dir={folder / 'sweep'}")
    code, text = inline.train(folder, *arguments)
    assert code == 0, text
    return folder / "sweep"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copied"))


def test_an_unchanged_sweep_has_no_differences(copied: Path, capsys: pytest.CaptureFixture[str]):
    assert compare(copied, verify=True) == 0
    output = capsys.readouterr()
    assert "2 jobs: 2 done" in output.out and output.err == ""


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("accuracy", "test", "final"), "accuracy.test.final is 99.9 in summary.json"),
        (("accuracy", "test", "best"), "accuracy.test.best is 99.9"),
        (("accuracy", "train", "final"), "accuracy.train.final is 99.9"),
        (("accuracy", "test", "by_epoch"), "accuracy.test.by_epoch is [99.9]"),
        (("seconds", "train"), "seconds.train is 99.9"),
        (("epochs",), "epochs is 99"),
    ],
)
def test_a_changed_summary_is_named(keys, message, copied: Path, capsys: pytest.CaptureFixture[str]):
    path = next(copied.glob("*seed=2*/summary.json"))
    summary = node = json.loads(path.read_text())
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = {"by_epoch": [99.9], "epochs": 99}.get(keys[-1], 99.9)
    path.write_text(json.dumps(summary))
    assert compare(copied, verify=False) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path.parent.name}: {message}") and "follows from metrics.jsonl" in line


@pytest.mark.parametrize("damage", [None, b"", b"{\n", b'{"test/accuracy": 3}\n'])
def test_damaged_metrics_are_named(damage, copied: Path):
    path = next(copied.glob("*seed=2*/metrics.jsonl"))
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    (line,) = differences(path.parent)
    assert line.startswith("metrics.jsonl ")


def test_of_many_runs_only_the_best_are_checked(copied: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_CHECKED", 1)
    rows = read_results(copied)
    (best,) = rows_to_verify(rows)
    assert best.final == max(row.final or 0 for row in rows)
