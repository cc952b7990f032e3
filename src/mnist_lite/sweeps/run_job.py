"""Runs one job of a sweep in this process, and records in its folder why it failed."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from mnist_lite.backends import out_of_memory
from mnist_lite.errors import MachineError, NoMemoryError, RunError, UnavailableError, UserError, printable
from mnist_lite.reporting.console import Console
from mnist_lite.runner.folder import FolderInUseError
from mnist_lite.runner.run import run
from mnist_lite.sweeps.job import Job, Outcome, Progress
from mnist_lite.sweeps.job_status import DONE, INTERRUPTED, clear_failure, mark_failed, status

MAX_WAIT = 120.0
"""Seconds to wait for a run folder that another process uses. A cluster may restart a job while its lost node is still ending."""


def run_job(job: Job, on_progress: Callable[[Progress], None] | None = None) -> Outcome:
    """Starts or resumes ``job`` and runs it to its end. A job that is done already is skipped.

    Without ``on_progress`` the run prints to the terminal. If the job fails, a file in its folder has the reason: see
    ``job_status.mark_failed``. After an internal error the file has the traceback as well.

    Raises:
        Interrupted: a signal came. The state of the run is saved.
    """
    try:
        clear_failure(job.folder)
        _train(job, on_progress)
    except FolderInUseError as error:
        return Outcome(str(error))  # not recorded: the other process may finish the job
    except Exception as error:
        return _record_failure(job, error)
    return Outcome(None)


def _train(job: Job, on_progress: Callable[[Progress], None] | None) -> None:
    deadline = time.monotonic() + MAX_WAIT
    while (state := status(job.folder)) != DONE:
        config = replace(job.config, resume=str(job.folder)) if state == INTERRUPTED else job.config
        console = Console(None if on_progress is None else lambda *values: on_progress(Progress(*values)))
        try:
            run(config, console, job.folder)
            return
        except FolderInUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def _record_failure(job: Job, error: Exception) -> Outcome:
    no_memory = isinstance(error, NoMemoryError) or out_of_memory.is_out_of_memory(error)
    of_machine = no_memory or isinstance(error, MachineError | UnavailableError | OSError)
    if isinstance(error, RunError | UserError):
        text, details = str(error), ""
    else:
        details = "".join(traceback.format_exception(error))
        text = details.strip().splitlines()[-1]
        text = text if of_machine else f"internal error: {text}"
    recorded = mark_failed(job.folder, text, of_machine, details)
    if details and not recorded:
        print(printable(details), file=sys.stderr, flush=True)
    return Outcome(text, no_memory)
