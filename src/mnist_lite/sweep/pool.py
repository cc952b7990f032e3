"""Workers and what they have to do: jobs go out one by one, come back done, failed or unfinished, and nothing is left behind."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Protocol

from mnist_lite.stop import StopRequest
from mnist_lite.sweep.job import Job
from mnist_lite.sweep.worker import Ended, Progress, serve

MOST_DEATHS = 3
"""Of workers under one job, before it counts as failed."""
PATIENCE = 60.0
"""Seconds for a worker to end its step and save, before it is killed."""


class Watcher(Protocol):
    """Whom the pool tells what happens."""

    def moved(self, job: Job, progress: Progress) -> None:
        """A job has come so far."""

    def ended(self, job: Job, error: str | None, seconds: float) -> None:
        """A job is done, or has failed."""


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    lifeline: Connection
    job: Job | None = None
    started: float = 0.0


def work(jobs: Sequence[Job], workers: int, fail_fast: bool, watcher: Watcher) -> dict[Job, str | None]:
    """Does all ``jobs``, ``workers`` at a time. The result has for each that has ended why it failed, or None.

    A worker that dies is replaced, and its job goes on from its last checkpoint.

    Raises:
        Interrupted: a signal came. All workers have saved and ended.
    """
    with StopRequest() as stop:
        pool = _Pool(jobs, watcher, fail_fast)
        stop.armed = True
        try:
            while pool.unfinished and stop.received is None and not pool.given_up:
                pool.hand_out(workers)
                pool.listen(0.2)
        finally:
            pool.close()
        stop.raise_if_received()
        return pool.results


class _Pool:
    def __init__(self, jobs: Sequence[Job], watcher: Watcher, fail_fast: bool) -> None:
        self.results: dict[Job, str | None] = {}
        self.given_up = False
        self._waiting = deque(jobs)
        self._watcher, self._fail_fast = watcher, fail_fast
        self._workers: list[_Worker] = []
        self._deaths: dict[Job, int] = {}
        self._context = multiprocessing.get_context("spawn")

    @property
    def unfinished(self) -> bool:
        return bool(self._waiting) or any(worker.job for worker in self._workers)

    def hand_out(self, most: int) -> None:
        """Gives every idle worker a job; starts workers while there are jobs for them."""
        idle = [worker for worker in self._workers if worker.job is None]
        while self._waiting and (idle or len(self._workers) < most):
            worker = idle.pop() if idle else self._hire()
            worker.job, worker.started = self._waiting.popleft(), time.monotonic()
            try:
                worker.pipe.send(worker.job)
            except OSError:
                self._bury(worker)

    def listen(self, seconds: float) -> None:
        """Takes what workers say, and notices those that are gone."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(by_pipe), seconds):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            self._take(worker, message)

    def close(self) -> None:
        """Ends all workers: idle ones at once, the others after their step."""
        for worker in self._workers:
            worker.pipe.close()
            worker.lifeline.close()
        end = time.monotonic() + PATIENCE
        for worker in self._workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []

    def _hire(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        held, watched = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, watched), daemon=True)
        process.start()
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
        self._end(job, message.error, time.monotonic() - worker.started)

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.lifeline.close()
        worker.process.join()
        if worker.job is None:
            return
        deaths = self._deaths[worker.job] = self._deaths.get(worker.job, 0) + 1
        if deaths < MOST_DEATHS:
            self._waiting.appendleft(worker.job)
        else:
            how = worker.process.exitcode
            self._end(worker.job, f"its worker has died {deaths} times, at last with code {how}", 0.0)

    def _end(self, job: Job, error: str | None, seconds: float) -> None:
        self.results[job] = error
        self._watcher.ended(job, error, seconds)
        self.given_up = self.given_up or (error is not None and self._fail_fast)
