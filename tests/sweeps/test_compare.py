"""The compare command: which folders it refuses, and how it checks the summaries of runs."""

from __future__ import annotations

import errno
import json
import resource
import shutil
import time
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution

from mnist_lite.errors import UserError
from mnist_lite.sweeps import compare as module
from mnist_lite.sweeps.compare import compare, differences, rows_to_verify
from mnist_lite.sweeps.results import read_results
from mnist_lite.sweeps.study import open_study
from tests.conftest import RunCommand
from tests.sweeps import inline
from tests.sweeps.commands import JOB
from tests.sweeps.fake_sweep import write_grid, write_manifest, write_run


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


def test_a_folder_that_cannot_be_written_has_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    write_grid(tmp_path, {"0.1": [99.1, 99.2], "0.2": [98.0, 98.5]})
    before = sorted(path.name for path in tmp_path.rglob("*"))

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)  # root may write everywhere, so permissions are no test
    assert compare(tmp_path, verify=False) == 0
    output = capsys.readouterr().out
    assert "4 jobs: 4 done" in output and "note: no table file and no pictures: " in output and "Read-only" in output
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_lock_of_optuna_that_was_left_over_blocks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_grid(tmp_path, {"0.1": [99.1, 99.2]}, holdout=99.0)
    study = open_study(tmp_path)
    for value in (98.0, 99.0):
        study.tell(study.ask({"lr": FloatDistribution(0.1, 0.4)}), value)
    (tmp_path / "study.log.lock").symlink_to(tmp_path / "study.log")
    started = time.monotonic()
    assert compare(tmp_path, verify=False) == 0
    open_study(tmp_path).enqueue_trial({"lr": 0.2})
    assert time.monotonic() - started < 5
    assert "search.png" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["../../x", "a/b", "/etc/x", "k" * 500, "a$b$", "x\x1b[2Jy"])
def test_pictures_stay_in_the_folder(key: str, tmp_path: Path):
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    entries = []
    for n in (1, 2):
        write_run(sweep, f"run_{n}", [90.0 + n], seed=n)
        entries.append({"overrides": [f"{key}={n}"], "folder": f"run_{n}"})
    write_manifest(sweep, entries)
    assert compare(sweep, verify=True) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]
    (picture,) = sweep.glob("accuracy_by_*.png")
    assert picture.stat().st_size > 1000


def test_five_thousand_settings_are_compared_in_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_grid(tmp_path, {f"{0.001 + n / 1e5:.6f}": [90 + 9 * n / 5000] for n in range(5000)})
    started, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert compare(tmp_path, verify=False) == 0
    assert time.monotonic() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 300 * 1024
    output = capsys.readouterr().out
    assert "the 50 best of 5,000 groups; sweep.json has all of them" in output
    assert len(output.splitlines()) < 70
    assert len((tmp_path / "sweep.csv").read_text().splitlines()) == 5001
