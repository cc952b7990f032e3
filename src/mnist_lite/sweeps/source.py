"""A source of jobs: what a grid and a search have in common. The pool takes jobs from a source and runs them."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mnist_lite.config.schema import SweepConfig
from mnist_lite.errors import printable
from mnist_lite.sweeps.job import InvalidJob, Job, Overrides

JobMaker = Callable[[Overrides], Job | InvalidJob]
"""Composes and checks the config of a job. Composing takes 0.08 s."""


class JobSource(ABC):
    """The jobs of a sweep, in the order in which they start."""

    is_adaptive: bool
    """True: the next job depends on the results of earlier jobs. False: jobs may be taken in advance."""

    def __init__(self, shared: Iterable[str], make: JobMaker, sweep: SweepConfig) -> None:
        """``shared`` are the overrides that all jobs have."""
        self._shared, self._make, self._sweep = tuple(shared), make, sweep
        self._folder = Path(sweep.dir)
        self.stopped = False
        """True: no more jobs start, and running jobs are stopped."""
        self.states = Counter[str]()
        """The states of the jobs before this start."""
        self.invalid_jobs: list[InvalidJob] = []

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of jobs that are still to be run, as far as they are known."""

    @abstractmethod
    def jobs(self) -> Iterator[Job]:
        """The jobs that are still to be run. Each is composed when it is asked for."""

    def job_ended(self, job: Job, error: str | None) -> None:  # noqa: B027  a grid does nothing
        """The pool calls this when ``job`` is done (``error`` is None) or has failed."""

    def label(self, job: Job | InvalidJob) -> str:
        """The overrides of ``job``, without those that all jobs have."""
        return ",".join(override for override in job.overrides if override not in self._shared) or "the only job"

    def _reject(self, job: InvalidJob) -> None:
        print(printable(f"error: job {self.label(job)}: {job.error}"), file=sys.stderr, flush=True)
        self.invalid_jobs.append(job)
        self.stopped = self.stopped or self._sweep.fail_fast
