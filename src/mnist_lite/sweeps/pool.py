"""The pool of worker processes: gives jobs to workers, receives their messages, and replaces workers that die."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from mnist_lite.errors import RunError
from mnist_lite.process.startup import start_fork_server, start_without_ctrl_c
from mnist_lite.process.stop_request import StopRequest
from mnist_lite.sweeps.job import Job, Outcome, Progress
from mnist_lite.sweeps.job_status import clear_failure, mark_failed
from mnist_lite.sweeps.progress import ProgressDisplay
from mnist_lite.sweeps.source import JobSource
from mnist_lite.sweeps.worker import serve

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

MAX_DEATHS = 3
"""A job has failed when this number of workers have died while they ran it."""
CRASHES = tuple(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE))
"""Exit codes of a worker whose own code crashed.

Every other death counts as a failure of the machine. For example, Linux kills processes when memory is short.
"""
FORKS = sys.platform == "linux"
"""Whether the workers are forked from a process that has imported torch. Elsewhere, a fork after such imports is not safe."""
MAX_STOP_SECONDS = 60.0
"""The time that a worker has to finish its step and save, after a request to stop. Then it is killed."""


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    lifeline: Connection
    """Its end tells the worker that this process is gone."""
    job: Job | None = None
    started: float = 0.0

    def close(self) -> None:
        """Asks the worker to stop. An idle one ends at once. A busy one ends after its step and saves its state."""
        self.pipe.close()
        self.lifeline.close()

    def is_running(self) -> bool:
        """Whether the process exists.

        ``process`` learns from the fork server that its process has ended. Without the server, ``process`` says so at once.
        """
        if self.process.is_alive() or not FORKS:
            return self.process.is_alive()
        assert self.process.pid is not None
        try:
            os.kill(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def wait(self, deadline: float) -> None:
        """Waits until the process has ended, and kills it at ``deadline``, a time of ``time.monotonic``."""
        self.process.join(max(0.0, deadline - time.monotonic()))
        while self.is_running() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()
        self.process.join()

    def kill(self) -> None:
        """Ends the process at once."""
        if self.is_running():
            assert self.process.pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL) if FORKS else self.process.kill()


def run_jobs(source: JobSource, workers: int, fail_fast: bool, display: ProgressDisplay) -> int:
    """Runs all jobs of ``source``, up to ``workers`` at a time. Returns the number of jobs that failed.

    A worker that dies is replaced, and its job continues from its last checkpoint. If a job runs out of memory beside others,
    fewer jobs run at a time from then on, and the job starts again when one of the others has ended.

    Raises:
        Interrupted: a signal came. All workers have saved their state and have ended.
    """
    with StopRequest() as stop:
        pool = _Pool(source, workers, fail_fast, display)
        stop.at_once = pool.kill
        stop.can_save = True
        try:
            pool.start_workers()
            while stop.received is None and pool.assign_jobs():
                pool.handle_messages()
        finally:
            pool.close()
        stop.raise_if_received()
        return pool.failures


class _Pool:
    def __init__(self, source: JobSource, limit: int, fail_fast: bool, display: ProgressDisplay) -> None:
        self._source, self._display, self._fail_fast = source, display, fail_fast
        self._limit = limit
        """The number of jobs that may run at a time."""
        self.failures = 0
        self._jobs = source.jobs()
        self._waiting = deque[Job]()
        """Jobs that must start again, and a job that was taken in advance."""
        self._workers: list[_Worker] = []
        self._deaths = Counter[Job]()
        self._context: ForkServerContext | SpawnContext = (
            multiprocessing.get_context("forkserver") if FORKS else multiprocessing.get_context("spawn")
        )

    def start_workers(self) -> None:
        """Starts all workers, and composes the first job while torch is imported."""
        if FORKS:
            start_fork_server("mnist_lite.sweeps.run_job")
            self._waiting.extend(islice(self._jobs, 1))
        for _ in range(self._limit):
            self._start_worker()

    def assign_jobs(self) -> bool:
        """Gives jobs to idle workers. False: nothing is left to wait for."""
        while not self._source.stopped and not (self._fail_fast and self.failures):
            running = sum(worker.job is not None for worker in self._workers)
            if running >= self._limit:
                if (
                    not self._waiting and not self._source.is_adaptive
                ):  # compose the next config (0.08 s) while the others run
                    self._waiting.extend(islice(self._jobs, 1))
                return True
            job = self._waiting.popleft() if self._waiting else next(self._jobs, None)
            if job is None:
                return running > 0
            idle = next((worker for worker in self._workers if worker.job is None), None)
            worker = idle or self._start_worker()
            worker.job, worker.started = job, time.monotonic()
            try:
                worker.pipe.send(job)
            except OSError:
                self._handle_death(worker)
        return False

    def handle_messages(self) -> None:
        """Waits at most 0.2 s for messages of workers. Handles the messages, and the deaths of workers."""
        ready = wait([worker.pipe for worker in self._workers], 0.2)
        for worker in [worker for worker in self._workers if worker.pipe in ready]:
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._handle_death(worker)
            else:
                self._handle(worker, message)

    def close(self) -> None:
        """Stops all workers and waits until they have ended."""
        for worker in self._workers:
            worker.close()
        deadline = time.monotonic() + MAX_STOP_SECONDS
        for worker in self._workers:
            worker.wait(deadline)
        running = [worker.job for worker in self._workers if worker.job]
        self._workers = []
        if running:
            self._display.interrupted(running)

    def kill(self) -> None:
        """Ends all workers at once. Their state is not saved. Another thread may call this."""
        for worker in list(self._workers):
            worker.kill()

    def _start_worker(self) -> _Worker:
        pipe, worker_pipe = self._context.Pipe()
        lifeline, worker_lifeline = self._context.Pipe()
        process = self._context.Process(target=serve, args=(worker_pipe, worker_lifeline), daemon=True)
        try:
            start_without_ctrl_c(process)
        except (EOFError, OSError) as error:  # the server of the forks has died
            raise RunError(f"no worker can be started: {error}") from error
        worker_pipe.close()
        worker_lifeline.close()
        worker = _Worker(process, pipe, lifeline)
        self._workers.append(worker)
        return worker

    def _handle(self, worker: _Worker, message: Progress | Outcome) -> None:
        assert worker.job is not None
        if isinstance(message, Progress):
            self._display.moved(worker.job, message)
            return
        job, worker.job = worker.job, None
        running = sum(other.job is not None for other in self._workers)
        if message.no_memory and running:
            self._limit = running
            clear_failure(job.folder)
            self._waiting.appendleft(job)
            self._remove(worker)  # torch keeps the memory that it has allocated
        else:
            self._end(job, message.error, time.monotonic() - worker.started)

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.close()
        worker.process.join()

    def _handle_death(self, worker: _Worker) -> None:
        """Removes a worker that has died. Its job starts again, or fails after too many deaths."""
        self._remove(worker)
        job = worker.job
        if job is None:
            return
        self._deaths[job] += 1
        if self._deaths[job] < MAX_DEATHS:
            self._waiting.appendleft(job)
            return
        code = worker.process.exitcode
        error = f"its worker died {MAX_DEATHS} times, the last time with exit code {code}"
        error = f"internal error: {error}" if code in CRASHES else error
        mark_failed(job.folder, error, of_machine=code not in CRASHES)
        self._end(job, error, time.monotonic() - worker.started)

    def _end(self, job: Job, error: str | None, seconds: float) -> None:
        self._source.job_ended(job, error)
        self._display.ended(job, error, seconds)
        self.failures += error is not None
