"""Does one job: skips it, goes on with it, or starts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mnist_lite.errors import MachineError, RunError, UnavailableError, UserError
from mnist_lite.reporting.console import Console
from mnist_lite.runner.folder import FolderInUseError
from mnist_lite.runner.run import run
from mnist_lite.sweeps.job import DONE, INTERRUPTED, Job, forget_failure, mark_failed, status
from mnist_lite.sweeps.worker import Progress

PATIENCE = 120.0
"""Seconds to wait for a run folder that another process has: a job is begun anew before its lost node is quite dead."""


def run_job(job: Job, tell: Callable[[Progress], None] | None) -> RunError | UserError | None:
    """The run of ``job`` in its folder, to its end; why it failed, if it did. Without ``tell`` it is shown on the terminal.

    Raises:
        Interrupted: a signal came; the state has been saved.
    """
    end = time.monotonic() + PATIENCE
    try:
        forget_failure(job.folder)
    except MachineError as problem:
        return problem
    while (found := status(job.folder)) != DONE:
        config = replace(job.config, resume=str(job.folder)) if found == INTERRUPTED else job.config
        reporter = Console(None if tell is None else lambda *figures: tell(Progress(*figures)))
        try:
            run(config, reporter, job.folder)
            return None
        except FolderInUseError as taken:
            if time.monotonic() > end:
                return taken  # and no mark: the other one may well succeed
            time.sleep(1.0)
            continue
        except (RunError, UserError) as failure:
            mark_failed(job.folder, str(failure), isinstance(failure, (MachineError, UnavailableError)))
            return failure
    return None
