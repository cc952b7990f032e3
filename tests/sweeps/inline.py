"""Sweeps in the process of the test: the real command, with jobs that run one after the other instead of in worker processes.

Nothing is started, so a sweep of two small jobs takes one second instead of ten. The pool and its workers have tests of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import mnist_lite.train
from mnist_lite.sweeps import pool
from mnist_lite.sweeps.progress import ProgressDisplay
from mnist_lite.sweeps.run_job import run_job
from mnist_lite.sweeps.source import JobSource

RunInline = Callable[..., tuple[int, str]]


def run_jobs_here(source: JobSource, workers: int, fail_fast: bool, display: ProgressDisplay) -> int:
    """Replaces ``pool.run_jobs``."""
    failures = 0
    for job in source.jobs():
        on_one_thread = replace(job, config=replace(job.config, threads=1))
        outcome = run_job(on_one_thread, lambda progress, job=job: display.moved(job, progress))  # type: ignore[misc]
        source.job_ended(job, outcome.error)
        display.ended(job, outcome.error, 0.0)
        failures += outcome.error is not None
        if source.stopped or (fail_fast and failures):
            break
    return failures


def train(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    """``python -m mnist_lite.train *arguments`` in ``folder``. Returns the exit code, and standard output and error as one text."""
    with monkeypatch.context() as patch:
        patch.setattr(pool, "run_jobs", run_jobs_here)
        patch.setattr(mnist_lite.train, "begin", lambda: None)  # it changes the signal handlers of the process
        patch.setattr(sys, "argv", ["train", *arguments])
        patch.chdir(folder)
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            mnist_lite.train.main()
    output = capfd.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, output.out + output.err
