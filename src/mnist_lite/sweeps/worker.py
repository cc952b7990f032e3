"""A worker process of a sweep: receives jobs from the pool, runs them, and sends messages back.

A worker imports torch once and reads each data set once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection

from mnist_lite.process.startup import keep_streams_usable
from mnist_lite.process.stop_request import Interrupted
from mnist_lite.sweeps.job import Job, Outcome, Progress

MIN_INTERVAL = 0.2
"""Seconds between two messages about progress."""


def serve(pipe: Connection, lifeline: Connection) -> None:
    """The main function of a worker. Each ``Job`` from ``pipe`` is answered by ``Progress`` messages and one ``Outcome``.

    The worker ends when ``pipe`` is closed. When ``lifeline`` is closed, it saves its run and ends. Only the parent holds the
    other end of ``lifeline``, so this happens when the parent dies, too. The worker then sends SIGTERM to itself. A SIGTERM
    from another process, for example to the process group, is the same request.
    """
    keep_streams_usable()
    # Ctrl-C goes to the whole process group. The parent decides what it means and closes the lifeline, or kills us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_terminate_after, args=(lifeline,), daemon=True).start()
    from mnist_lite.sweeps.run_job import run_job  # imports torch, before the first job comes

    last_sent = 0.0

    def send_progress(progress: Progress) -> None:
        nonlocal last_sent
        if time.monotonic() - last_sent > MIN_INTERVAL:
            last_sent = time.monotonic()
            _send(pipe, progress)

    while True:
        try:
            job: Job = pipe.recv()
        except (EOFError, OSError):  # OSError: the parent died before it read all messages
            return
        if job.config.threads is None:  # one core for each worker
            job = replace(job, config=replace(job.config, threads=1))
        try:
            outcome = run_job(job, send_progress)
        except Interrupted:
            return
        _send(pipe, outcome)


<<<<<<< HEAD
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
=======
def _send(pipe: Connection, message: Progress | Outcome) -> None:
    with contextlib.suppress(OSError):  # the parent has died: the lifeline ends this process
>>>>>>> 0f03833 (WIP: sweeps: results, search plots and job sources in their own modules)
        pipe.send(message)


def _terminate_after(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os.kill(os.getpid(), signal.SIGTERM)
