"""The run folders that names on the command line stand for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mnist_lite.errors import UserError
from mnist_lite.insight.locate import find_runs, find_submissions
from tests.sweeps.fake_sweep import write_manifest


def make_run(folder: Path, seconds: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    os.utime(folder / "config.yaml", (seconds, seconds))
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs, and a sweep with two jobs, of which one has started."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs"
    for name, seconds in (("1_era4", 100), ("2_era4", 300), ("3_step3", 200)):
        make_run(root / name, seconds)
    make_run(root / "sweeps" / "lr" / "b", 250)
    write_manifest(
        root / "sweeps" / "lr", [{"overrides": ["a=1"], "folder": "a"}, {"overrides": ["a=2"], "folder": "b"}]
    )
    return root


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["runs/3_step3"], ["3_step3"]),
        (["runs/*_era4"], ["1_era4", "2_era4"]),
        (["latest"], ["2_era4"]),
        (["runs/sweeps/lr"], ["b"]),
        (["runs/sweeps/*"], ["b"]),
        (["runs/2_era4", "latest", "runs/*_era4"], ["2_era4", "1_era4"]),
    ],
)
def test_names_of_runs(names: list[str], expected: list[str], runs: Path):
    assert [path.name for path in find_runs(names)] == expected


def test_the_latest_run_can_be_a_job_of_a_sweep(runs: Path):
    make_run(runs / "sweeps" / "lr" / "a", 400)
    assert [path.name for path in find_runs(["latest"])] == ["a"]


def test_the_user_may_name_a_link(runs: Path):
    Path("best").symlink_to(runs / "3_step3")
    assert find_runs(["best"]) == [runs / "3_step3"]


def test_the_folder_of_sweeps_is_no_submission(runs: Path):
    (runs / "empty").mkdir()
    found = find_submissions(["runs/*"])
    assert [path.name for path in found] == ["1_era4", "2_era4", "3_step3", "empty"]
    assert [bool(problem) for problem in found.values()] == [False, False, False, True]


def test_a_linked_job_of_a_sweep_is_left_out(runs: Path):
    (runs / "sweeps" / "lr" / "a").symlink_to(runs / "1_era4")
    assert [path.name for path in find_runs(["runs/sweeps/lr"])] == ["b"]


@pytest.mark.parametrize("name", ["runs/no", "runs/*_none", "runs/sweeps", "runs"])
def test_a_name_for_nothing_is_one_line(name: str, runs: Path):
    with pytest.raises(UserError) as caught:
        find_runs([name])
    assert name.partition("*")[0] in str(caught.value)


def test_latest_without_runs_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="latest: there is no run in runs"):
        find_runs(["latest"])
