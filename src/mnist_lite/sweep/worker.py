"""A process that does one job after the other, imports torch once, and reads each data set once."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from mnist_lite.errors import NoMemoryError
from mnist_lite.start import keep_streams_usable
from mnist_lite.stop import Interrupted
from mnist_lite.sweep.job import Job


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

    The parent holds the other end of ``lifeline``, and so does nobody else: it breaks when the parent is gone, however it went.
    """
    keep_streams_usable()
    # What is meant for the whole group, such as Ctrl-C, the parent hears; it tells us once, by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    from mnist_lite.sweep import run  # imports torch

    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        last = [0.0]

        def tell(progress: Progress, last: list[float] = last) -> None:
            if progress.done == 1 or time.monotonic() - last[0] > 0.2:
                last[0] = time.monotonic()
                _send(pipe, progress)

        try:
            failure = run.run(_with_threads(job), tell)
            ended = Ended(None if failure is None else str(failure), isinstance(failure, NoMemoryError))
        except Interrupted:
            return
        except Exception:
            ended = Ended("internal error: " + traceback.format_exc().strip().splitlines()[-1])
            run.mark_failed(job, str(ended.error))
        _send(pipe, ended)


def _with_threads(job: Job) -> Job:
    """Each worker has one core, unless the user says otherwise."""
    if job.config.threads is not None:
        return job
    return replace(job, config=replace(job.config, threads=1))


def _send(pipe: Connection, message: Any) -> None:
    try:
        pipe.send(message)
    except OSError:
        os.kill(os.getpid(), signal.SIGTERM)  # nobody listens


def _end_with(lifeline: Connection) -> None:
    try:
        lifeline.recv()
    except EOFError:
        os.kill(os.getpid(), signal.SIGTERM)
