"""Does one job: skips it, goes on with it, or starts it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from mnist_lite import durable, session
from mnist_lite.errors import RunError, UserError
from mnist_lite.sweep.job import CUT, DONE, ERROR, FAILED, Job, status
from mnist_lite.sweep.worker import Progress
from mnist_lite.terminal import Reporter


def run(job: Job, tell: Callable[[Progress], None] | None) -> str | None:
    """The run of ``job`` in its folder, to its end; why it failed, if it did. Without ``tell`` it is shown on the terminal.

    Raises:
        Interrupted: a signal came; the state has been saved.
    """
    found = status(job.folder)
    if found == DONE:
        return None
    if found == FAILED:
        (job.folder / ERROR).unlink()
    config = job.config
    if status(job.folder) == CUT:
        config = replace(config, resume=str(job.folder))
    reporter = Reporter(None if tell is None else lambda *figures: tell(Progress(*figures)))
    try:
        session.run(config, reporter, job.folder)
        error = reporter.last_error
    except UserError as problem:
        error = str(problem)
    if error is not None:
        mark_failed(job, error)
    return error


def mark_failed(job: Job, error: str) -> None:
    """Leaves ``error`` in the job's folder, so that a sweep that is started again knows."""
    with suppress(OSError, RunError):
        job.folder.mkdir(parents=True, exist_ok=True)
        durable.write(job.folder / ERROR, (error + "\n").encode())
