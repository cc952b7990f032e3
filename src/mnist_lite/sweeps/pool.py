"""Workers and what they have to do: jobs go out one by one, come back done, failed or unfinished, and nothing is left behind."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Protocol

from mnist_lite.process.startup import start_without_ctrl_c
from mnist_lite.process.stop_request import StopRequest
from mnist_lite.sweeps.job import Job, forget_failure, mark_failed
from mnist_lite.sweeps.worker import Ended, Progress, serve

MAX_DEATHS = 3
"""Of workers under one job, before it counts as failed."""
CRASHES = tuple(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE))
"""Exit codes of a worker that its own code ended. Any other death is the machine's: when memory is short, Linux sends SIGKILL."""
PATIENCE = 60.0
"""Seconds that a worker has to end its step and save after a request to stop. Then it is killed."""


class Source(Protocol):
    """Where jobs come from."""

    stopped: bool
    """Nothing more is to be begun, and what runs is to be stopped."""

    @property
    def count(self) -> int:
        """Jobs that are to be run, as far as they are known."""

    def label(self, job: Job) -> str:
        """What the job has that not all have."""

    def next_job(self) -> Job | None:
        """The next job; None: there is none left."""

    def prepare_next(self) -> bool:
        """Uses a moment in which all workers are busy; False: there is nothing to do."""

    def ended(self, job: Job, error: str | None) -> None:
        """``job`` is done, or has failed."""


class ProgressListener(Protocol):
    """Whom the pool tells what happens."""

    def moved(self, job: Job, progress: Progress) -> None:
        """A job has come so far."""

    def ended(self, job: Job, error: str | None, seconds: float) -> None:
        """A job is done, or has failed."""

    def interrupted(self, jobs: list[Job]) -> None:
        """``jobs`` were running when the workers were asked to stop. No worker is left."""


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    lifeline: Connection
    job: Job | None = None
    started: float = 0.0


def work(source: Source, workers: int, fail_fast: bool, watcher: ProgressListener) -> int:
    """Does all jobs of ``source``, ``workers`` at a time. How many of them have failed.

    A worker that dies is replaced, and its job goes on from its last checkpoint. A job that runs out of memory beside others
    waits until one of them has ended, and from then on there are as many at a time as did fit.

    Raises:
        Interrupted: a signal came. All workers have saved and ended.
    """
    with StopRequest() as stop:
        pool = _Pool(source, watcher, fail_fast)
        stop.at_once = pool.kill
        stop.armed = True
        try:
            pool.start_workers(
                workers
            )  # before there is anything to do: they import torch while the first job is composed
            while pool.assign_jobs(workers) and stop.received is None:
                pool.handle_messages(0.0 if source.prepare_next() else 0.2)
        finally:
            pool.close()
        stop.raise_if_received()
        return pool.failures


class _Pool:
    def __init__(self, source: Source, watcher: ProgressListener, fail_fast: bool) -> None:
        self._source, self._watcher, self._fail_fast = source, watcher, fail_fast
        self.failures = 0
        self._returned: deque[Job] = deque()
        self._room = math.inf
        """So many jobs fit beside each other; known when one did not."""
        self._given_up = False
        self._workers: list[_Worker] = []
        self._deaths: dict[Job, int] = {}
        self._context = multiprocessing.get_context("spawn")

    def start_workers(self, most: int) -> None:
        """Starts workers until there are ``most``."""
        while len(self._workers) < most:
            self._start_worker()

    def assign_jobs(self, most: int) -> bool:
        """Gives every idle worker a job. Whether anything is left to wait for."""
        while not self._given_up and not self._source.stopped:
            idle = next((worker for worker in self._workers if worker.job is None), None)
            busy = sum(worker.job is not None for worker in self._workers)
            if busy >= self._room or (idle is None and len(self._workers) >= most):
                return True
            job = self._returned.popleft() if self._returned else self._source.next_job()
            if job is None:
                return any(worker.job for worker in self._workers)
            worker = idle or self._start_worker()
            worker.job, worker.started = job, time.monotonic()
            try:
                worker.pipe.send(job)
            except OSError:
                self._reap(worker)
        return False

    def handle_messages(self, seconds: float) -> None:
        """Takes what workers say, and notices those that are gone."""
        speaking = wait([worker.pipe for worker in self._workers], seconds)
        for worker in [worker for worker in self._workers if worker.pipe in speaking]:
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._reap(worker)
                continue
            self._take(worker, message)

    def close(self) -> None:
        """Asks all workers to stop: idle ones end at once, the others after their step, with their state saved."""
        for worker in self._workers:
            worker.pipe.close()
            worker.lifeline.close()
        end = time.monotonic() + PATIENCE
        for worker in self._workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        running = [worker.job for worker in self._workers if worker.job]
        self._workers = []
        if running:
            self._watcher.interrupted(running)

    def kill(self) -> None:
        """Ends all workers without saving. Another thread may call it."""
        for worker in list(self._workers):
            worker.process.kill()

    def _start_worker(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        held, watched = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, watched), daemon=True)
        start_without_ctrl_c(process)
        theirs.close()
        watched.close()
        worker = _Worker(process, ours, held)
        self._workers.append(worker)
        return worker

    def _take(self, worker: _Worker, message: Progress | Ended) -> None:
        assert worker.job is not None
        if isinstance(message, Progress):
            self._watcher.moved(worker.job, message)
            return
        job, worker.job = worker.job, None
        others = sum(other.job is not None for other in self._workers)
        if message.crowded and others:
            self._room = others
            forget_failure(job.folder)  # it has not failed
            self._returned.append(job)
            self._stop_worker(worker)  # torch keeps what memory it had
            return
        self._end(job, message.error, time.monotonic() - worker.started)

    def _stop_worker(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.lifeline.close()
        worker.process.join()

    def _reap(self, worker: _Worker) -> None:
        self._stop_worker(worker)
        if worker.job is None:
            return
        deaths = self._deaths[worker.job] = self._deaths.get(worker.job, 0) + 1
        if deaths < MAX_DEATHS:
            self._returned.append(worker.job)
        else:
            code = worker.process.exitcode
            crashed = code in CRASHES
            error = f"its worker has died {deaths} times, at last with code {code}"
            error = f"internal error: {error}" if crashed else error
            mark_failed(worker.job.folder, error, of_machine=not crashed)
            self._end(worker.job, error, 0.0)

    def _end(self, job: Job, error: str | None, seconds: float) -> None:
        self._source.ended(job, error)
        self._watcher.ended(job, error, seconds)
        self.failures += error is not None
        self._given_up = self._fail_fast and self.failures > 0
