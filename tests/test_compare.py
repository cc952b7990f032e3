"""The compare command's own part: what it refuses."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import RunCommand


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
