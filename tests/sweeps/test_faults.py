"""A job that the machine failed runs again by the same command. A job that failed by itself does not."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from mnist_lite import files
from mnist_lite.errors import MachineError
from mnist_lite.runner.folder import RunFolder
from mnist_lite.runner.metrics_file import MetricsFile
from mnist_lite.sweeps.job import Job
from mnist_lite.sweeps.job_status import DONE, FAILED, MISSING, is_skipped, status
from mnist_lite.sweeps.run_job import run_job
from mnist_lite.training.trainer import Trainer
from tests.conftest import Compose
from tests.faults.child import default_signals
from tests.faults.recipes import FEW
from tests.sweeps.commands import JOB, Sweep, linux
from tests.sweeps.inline import RunInline

MakeJob = Callable[..., Job]


@pytest.fixture
def make(composed: Compose, tmp_path: Path) -> MakeJob:
    """``make("device=cuda")``: a job of one epoch in an empty folder."""
    overrides = (*FEW, "model=era4", "scheduler=constant", "epochs=1")
    return lambda *more: Job((), composed(*overrides, *more), tmp_path / "job")


def failing(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_arguments: object, **_more: object) -> NoReturn:
        raise error

    return fail


def write_error(number: int) -> MachineError:
    """The error of a run folder when the system does not allow a write."""
    with pytest.raises(MachineError) as caught, files.machine_errors(Path("last.pt")):
        raise OSError(number, os.strerror(number))
    return caught.value


FAULTS = {
    "disk full": (RunFolder, "save", write_error(errno.ENOSPC)),
    "read-only": (MetricsFile, "append", write_error(errno.EROFS)),
    "memory": (Trainer, "_train_step", MemoryError("no memory")),
    "GPU memory": (Trainer, "_train_step", torch.OutOfMemoryError("CUDA out of memory")),
    "open files": (Trainer, "_train_step", OSError(errno.EMFILE, "Too many open files")),
}
MORE_FAULTS = {
    "quota": (RunFolder, "save", write_error(errno.EDQUOT)),
    "input/output": (RunFolder, "save", write_error(errno.EIO)),
    "no permission": (MetricsFile, "append", write_error(errno.EACCES)),
    "memory at the start": (Trainer, "__init__", MemoryError("no memory")),
}


@pytest.mark.parametrize("fault", [*FAULTS, *(pytest.param(name, marks=pytest.mark.long) for name in MORE_FAULTS)])
def test_a_job_that_the_machine_failed_runs_again(fault: str, make: MakeJob, monkeypatch: pytest.MonkeyPatch):
    owner, name, error = {**FAULTS, **MORE_FAULTS}[fault]
    job = make()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(error))
        assert run_job(job, lambda progress: None).error is not None
    assert status(job.folder) == FAILED and not is_skipped(job.folder, retry_failed=False)
    assert "the same command tries this job again" in (job.folder / "fault.txt").read_text()
    assert run_job(job, lambda progress: None).error is None
    assert status(job.folder) == DONE and not (job.folder / "fault.txt").exists()


def test_a_job_without_any_file_of_its_failure_runs_again(make: MakeJob, monkeypatch: pytest.MonkeyPatch):
    """The disk is so full that not even ``fault.txt`` can be written."""
    job = make()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(OSError(errno.ENOSPC, "No space left on device")))
        assert "cannot write" in str(run_job(job, lambda progress: None).error)
    assert status(job.folder) == MISSING and not is_skipped(job.folder, retry_failed=False)
    assert run_job(job, lambda progress: None).error is None


def test_a_job_without_its_data_or_device_runs_again(make: MakeJob, tmp_path: Path, offline: None):
    job = make("data=mnist", f"data.root={tmp_path / 'nowhere'}", "data.train_limit=120", "data.test_limit=50")
    assert "no usable MNIST" in str(run_job(job, lambda progress: None).error)
    assert status(job.folder) == FAILED and not is_skipped(job.folder, retry_failed=False)
    if not torch.cuda.is_available():
        assert "CUDA devices" in str(run_job(make("device=cuda"), lambda progress: None).error)
        assert not is_skipped(job.folder, retry_failed=False)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (("optimizer=sgd", "optimizer.lr=1e30", "epochs=3"), None, "diverged"),
        (("batch_size=17", "data.train_limit=120", "data.holdout=1437"), None, "data.holdout"),
        ((), ZeroDivisionError("made for the test"), "internal error: ZeroDivisionError: made for the test"),
    ],
)
def test_a_job_that_failed_by_itself_does_not_run_again(
    overrides: tuple[str, ...], error: Exception | None, message: str, make: MakeJob, monkeypatch: pytest.MonkeyPatch
):
    job = make(*overrides)
    if error is not None:
        monkeypatch.setattr(Trainer, "_train_step", failing(error))
    outcome = run_job(job, lambda progress: None)
    assert message in str(outcome.error)
    assert status(job.folder) == FAILED and is_skipped(job.folder, retry_failed=False)
    assert not is_skipped(job.folder, retry_failed=True)
    text = (job.folder / "error.txt").read_text()
    assert text.splitlines()[0] == outcome.error
    assert ("Traceback (most recent call last)" in text) == (error is not None)


def test_a_job_whose_folder_cannot_be_read_runs_again(make: MakeJob, monkeypatch: pytest.MonkeyPatch):
    job = make()
    job.folder.mkdir()
    monkeypatch.setattr(Path, "is_file", failing(PermissionError(errno.EACCES, "Permission denied")))
    assert not is_skipped(job.folder, retry_failed=False)


ARGUMENTS = ("-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2")


def check_failures(code: int, text: str, folder: Path, reason: str) -> None:
    lines = [line for line in text.splitlines() if f"{reason}; the same command tries this job again" in line]
    assert code == 1 and len([line for line in lines if "] FAILED" in line]) == 2, text
    assert [line[: len("failed: seed=1")] for line in lines if "] FAILED" not in line] == [
        "failed: seed=1",
        "failed: seed=2",
    ]
    assert "2 failed" in text and "Traceback" not in text
    rows = json.loads((folder / "sweep" / "sweep.json").read_text())["jobs"]
    assert [row["status"] for row in rows] == ["failed", "failed"] and reason in rows[0]["error"]


def test_the_jobs_of_a_sweep_on_a_full_disk_run_again(
    run_inline: RunInline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", failing(write_error(errno.ENOSPC)))
        check_failures(*run_inline(*ARGUMENTS), tmp_path, "No space left on device")
    code, text = run_inline(*ARGUMENTS)
    assert code == 0 and text.count(" %  seed=") == 2, text
    assert not list(tmp_path.glob("sweep/*/fault.txt"))


@pytest.mark.long
@linux
def test_a_disk_that_is_full_in_the_middle_of_a_sweep(tmp_path: Path):
    def limit_file_size() -> None:
        default_signals()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))  # a checkpoint is larger

    code, text = Sweep(tmp_path, *ARGUMENTS, before=limit_file_size).end()
    check_failures(code, text, tmp_path, "File too large")
    code, text = Sweep(tmp_path, *ARGUMENTS).end()
    assert code == 0 and text.count(" %  seed=") == 2, text
    assert not list(tmp_path.glob("sweep/*/fault.txt"))
