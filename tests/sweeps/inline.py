"""Sweeps in the process of the test: the real command, with jobs that run one after the other instead of in worker processes.

No process is started, so a sweep of two small jobs takes one second instead of ten. The pool has tests of its own.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

import mnist_lite.train
from mnist_lite.reporting import png
from mnist_lite.sweeps import pool
from mnist_lite.sweeps.job import Job, Progress
from mnist_lite.sweeps.progress import ProgressDisplay
from mnist_lite.sweeps.run_job import run_job
from mnist_lite.sweeps.source import JobSource

RunInline = Callable[..., tuple[int, str]]


def train(folder: Path, *arguments: str) -> tuple[int, str]:
    """Runs ``python -m mnist_lite.train *arguments`` in ``folder``. Returns the exit code and the output.

    An internal error is raised. The command would print its traceback and exit with code 1.
    """
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(output):
        patch.setattr(pool, "run_jobs", run_jobs_here)
        patch.setattr(png, "draw", lambda _make: b"\x89PNG")  # 0.4 s each; test_plots.py draws pictures
        patch.setattr(mnist_lite.train, "begin", lambda: None)  # it changes the signal handlers of the process
        patch.setattr(sys, "argv", ["train", *arguments])
        patch.chdir(folder)
        with pytest.raises(SystemExit) as end:
            mnist_lite.train.main()
    assert isinstance(end.value.code, int)
    return end.value.code, output.getvalue()


def run_jobs_here(source: JobSource, workers: int, fail_fast: bool, display: ProgressDisplay) -> int:
    """Replaces ``pool.run_jobs``."""
    failures = 0
    for job in source.jobs():
        outcome = run_job(replace(job, config=replace(job.config, threads=1)), _reporter(job, display))
        source.job_ended(job, outcome.error)
        display.ended(job, outcome.error, 0.0)
        failures += outcome.error is not None
        if source.stopped or (fail_fast and failures):
            break
    return failures


def _reporter(job: Job, display: ProgressDisplay) -> Callable[[Progress], None]:
    return lambda progress: display.moved(job, progress)
