"""A process that does one job after the other, imports torch once, and reads each data set once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from mnist_lite.errors import NoMemoryError
from mnist_lite.process.startup import keep_streams_usable
from mnist_lite.process.stop_request import Interrupted
from mnist_lite.sweeps.job import Job, mark_failed


@dataclass(frozen=True)
class Progress:
    """Of a job that is running."""

    done: float
    """0 to 1."""
    epoch: int
    accuracy: float | None
    """Test accuracy in percent of the last evaluation."""


@dataclass(frozen=True)
class Ended:
    """Of a job that runs no more."""

    error: str | None
    """One line; None: it has reached its end."""
    crowded: bool = False
    """It ran out of memory, which may be for want of room beside the others."""


def serve(pipe: Connection, lifeline: Connection) -> None:
    """Takes jobs from ``pipe`` until it is closed; ends, with its state saved, when ``lifeline`` is.

    Only the parent holds the other end of ``lifeline``, so it breaks when the parent closes it and when the parent dies. The
    worker then sends itself SIGTERM. A SIGTERM from elsewhere, for example to the process group, is the same request.
    """
    keep_streams_usable()
    # Ctrl-C goes to the whole process group. The parent decides what it means and closes the lifeline, or kills us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    import mnist_lite.sweeps.run_job  # noqa: F401  imports torch, before the first job comes

    while True:
        try:
            job: Job = pipe.recv()
        except (EOFError, OSError):  # OSError: the parent died before it had read all that we sent
            return
        last = [0.0]

        def tell(progress: Progress, last: list[float] = last) -> None:
            if progress.done == 1 or time.monotonic() - last[0] > 0.2:
                last[0] = time.monotonic()
                _send(pipe, progress)

        try:
            ended = do(_with_threads(job), tell)
        except Interrupted:
            return
        _send(pipe, ended)


def do(job: Job, tell: Callable[[Progress], None] | None) -> Ended:
    """Does one job; without ``tell`` it is shown on the terminal.

    If the job fails, its folder says why; after an internal error it has the whole traceback.

    Raises:
        Interrupted: a signal came; the state has been saved.
    """
    from mnist_lite.backends import out_of_memory
    from mnist_lite.sweeps.run_job import run_job

    try:
        failure = run_job(job, tell)
        return Ended(None if failure is None else str(failure), isinstance(failure, NoMemoryError))
    except Exception as error:
        details, crowded = traceback.format_exc(), out_of_memory.is_out_of_memory(error)
        of_machine = crowded or isinstance(error, OSError)
        text = details.strip().splitlines()[-1]
        text = text if of_machine else f"internal error: {text}"
        if not mark_failed(job.folder, text, of_machine, details):
            print(details, file=sys.stderr, flush=True)
        return Ended(text, crowded)


def _with_threads(job: Job) -> Job:
    """Each worker has one core, unless the user says otherwise."""
    if job.config.threads is not None:
        return job
    return replace(job, config=replace(job.config, threads=1))


def _send(pipe: Connection, message: Any) -> None:
    """A message to the parent. If the parent is gone, the lifeline tells us, and nothing has to be done here."""
    with contextlib.suppress(OSError):
        pipe.send(message)


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os.kill(os.getpid(), signal.SIGTERM)
