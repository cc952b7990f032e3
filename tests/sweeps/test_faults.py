"""Faults of the machine are not faults of the job: a job that met one is tried again by the same command."""

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
from mnist_lite.sweeps import worker
from mnist_lite.sweeps.job import DONE, FAILED, MISSING, Job, is_settled, status
from mnist_lite.training.trainer import Trainer
from tests.conftest import Compose
from tests.faults.child import hear_signals
from tests.faults.recipes import FEW
from tests.sweeps.commands import JOB, Sweep, linux

Make = Callable[..., Job]


@pytest.fixture
def make(composed: Compose, tmp_path: Path) -> Make:
    """``make("device=cuda")``: a job of one epoch in an empty folder."""
    words = (*FEW, "model=era4", "scheduler=constant", "epochs=1")
    return lambda *more: Job((), composed(*words, *more), tmp_path / "job")


def do(job: Job) -> worker.Ended:
    return worker.do(job, lambda progress: None)


def failing(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_arguments: object, **_more: object) -> NoReturn:
        raise error

    return fail


def refused(number: int) -> MachineError:
    """What a run folder raises when the system refuses a write."""
    with pytest.raises(MachineError) as caught, files.explained(Path("last.pt")):
        raise OSError(number, os.strerror(number))
    return caught.value


FAULTS = [
    *((RunFolder, "save", refused(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO)),
    *((RunFolder, "add_rows", refused(number)) for number in (errno.EACCES, errno.EROFS)),
    (Trainer, "_train_step", MemoryError("no memory")),
    (Trainer, "_train_step", torch.OutOfMemoryError("CUDA out of memory")),
    (Trainer, "_train_step", OSError(errno.EMFILE, "Too many open files")),
    (Trainer, "__init__", MemoryError("no memory")),
]


@pytest.mark.parametrize(("owner", "name", "error"), FAULTS, ids=lambda value: str(value).replace(" ", "_")[:40])
def test_a_fault_of_the_machine_is_tried_again(
    owner: type, name: str, error: Exception, make: Make, monkeypatch: pytest.MonkeyPatch
):
    job = make()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(error))
        assert do(job).error is not None
    assert status(job.folder) == FAILED and not is_settled(job.folder, retry_failed=False)
    assert "the same command tries this job again" in (job.folder / "fault.txt").read_text()
    assert do(job).error is None
    assert status(job.folder) == DONE and not (job.folder / "fault.txt").exists()


def test_a_disk_that_takes_nothing_leaves_no_verdict(make: Make, monkeypatch: pytest.MonkeyPatch):
    job = make()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(OSError(errno.ENOSPC, "No space left on device")))
        assert "cannot write" in str(do(job).error)
    assert status(job.folder) == MISSING and not is_settled(job.folder, retry_failed=False)
    assert do(job).error is None


def test_data_or_a_device_that_is_not_there_is_no_fault_of_the_job(make: Make, tmp_path: Path, offline: None):
    lost = make("data=mnist", f"data.root={tmp_path / 'nowhere'}", "data.train_limit=120", "data.test_limit=50")
    assert "no usable MNIST" in str(do(lost).error)
    assert status(lost.folder) == FAILED and not is_settled(lost.folder, retry_failed=False)
    if not torch.cuda.is_available():
        assert "CUDA devices" in str(do(make("device=cuda")).error)
        assert not is_settled(lost.folder, retry_failed=False)
    assert do(make()).error is None


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        (("optimizer=sgd", "optimizer.lr=1e30", "epochs=3"), None, "diverged"),
        (("batch_size=17", "data.train_limit=120", "data.holdout=1437"), None, "data.holdout"),
        ((), ZeroDivisionError("made for the test"), "internal error: ZeroDivisionError: made for the test"),
    ],
)
def test_a_fault_of_the_job_stays(
    words: tuple[str, ...], error: Exception | None, reason: str, make: Make, monkeypatch: pytest.MonkeyPatch
):
    job = make(*words)
    if error is not None:
        monkeypatch.setattr(Trainer, "_train_step", failing(error))
    ended = do(job)
    assert reason in str(ended.error)
    assert status(job.folder) == FAILED and is_settled(job.folder, retry_failed=False)
    assert not is_settled(job.folder, retry_failed=True)
    written = (job.folder / "error.txt").read_text()
    assert written.splitlines()[0] == ended.error
    assert ("Traceback (most recent call last)" in written) == (error is not None)


def test_a_folder_that_cannot_be_read_is_no_verdict(make: Make, monkeypatch: pytest.MonkeyPatch):
    job = make()
    job.folder.mkdir()
    monkeypatch.setattr(Path, "is_file", failing(PermissionError(errno.EACCES, "Permission denied")))
    assert not is_settled(job.folder, retry_failed=False)


@linux
def test_a_disk_that_is_full_in_the_middle_of_a_sweep(tmp_path: Path):
    def full() -> None:
        hear_signals()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))  # a checkpoint is larger

    words = ("-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2")
    code, text = Sweep(tmp_path, *words, before=full).end()
    assert code != 0 and text.count("File too large; the same command tries this job again") == 2, text
    assert "2 failed" in text and "Traceback" not in text
    rows = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["jobs"]
    assert [row["status"] for row in rows] == ["failed", "failed"] and "File too large" in rows[0]["error"]
    code, text = Sweep(tmp_path, *words).end()
    assert code == 0 and text.count(" %  seed=") == 2, text
    assert not list(tmp_path.glob("sweep/*/fault.txt"))
