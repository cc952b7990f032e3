"""A worker process of a sweep: receives jobs from the pool, runs them, and sends messages back.

A worker reads each data set once. On Linux it is forked from a process that has imported torch.
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

    An idle worker ends when ``pipe`` is closed. When ``lifeline`` is closed, the worker sends SIGTERM to itself: it saves its run
    and ends. Only the parent holds the other end of ``lifeline``, so this happens also when the parent dies. A SIGTERM from
    another process has the same effect.
    """
    keep_streams_usable()
    # Ctrl-C goes to the whole process group. The parent decides what it means and closes the lifeline, or kills us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked by ``start_fork_server``
    threading.Thread(target=_terminate_after, args=(lifeline,), daemon=True).start()
    from mnist_lite.sweeps.run_job import run_job  # imports torch before the first job comes, if it is not imported

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


def _send(pipe: Connection, message: Progress | Outcome) -> None:
    with contextlib.suppress(OSError):  # the parent has died: the lifeline ends this process
        pipe.send(message)


def _terminate_after(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os.kill(os.getpid(), signal.SIGTERM)
