"""A search: a source of jobs that Optuna proposes. The study is a file in the folder of the sweep, so a search can be resumed.

The accuracy on held-out training images decides. The test images have no influence.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import Trial, TrialState

from mnist_lite import files
from mnist_lite.config.overrides import path_override
from mnist_lite.config.schema import SweepConfig
from mnist_lite.errors import UserError
from mnist_lite.sweeps.job import InvalidJob, Job, without_sweep_keys
from mnist_lite.sweeps.job_status import DONE, FAILED, failure, is_skipped, score, status
from mnist_lite.sweeps.manifest import STUDY, add_entries, manifest_entry
from mnist_lite.sweeps.search_space import Space, lowest, value_override
from mnist_lite.sweeps.source import JobMaker, JobSource
from mnist_lite.sweeps.study import open_study

SAMPLER: Mapping[str, Any] = {
    "n_startup_trials": 10,
    "n_ei_candidates": 24,
    "multivariate": True,
    "group": False,
    "constant_liar": True,
}
"""Arguments of TPE. Optuna 4.2 and 5.0 have different defaults for ``multivariate`` and ``constant_liar``, so no default is used.

``multivariate`` models all keys together. ``constant_liar`` counts running trials as poor, so that workers try different values.
The other arguments of Optuna 4.2 are deprecated in 5.0. Their defaults mean the same in both versions.
"""
DATA = "data"
"""An attribute of the study: the data set of its trials. A study must not mix accuracies on different data sets."""
COUNTS = "counts"
"""An attribute of the trials that count towards ``n_trials``. A trial that a kill interrupted does not count."""


class Search(JobSource):
    """The jobs of a search."""

    is_adaptive = True

    def __init__(
        self, space: Space, shared: Sequence[str], make: JobMaker, sweep: SweepConfig, n_trials: int, seed: int
    ) -> None:
        """Starts or resumes the search in ``sweep.dir``. ``shared`` are the overrides that all trials have.

        Raises:
            UserError: the config of all trials is invalid or has no held-out images, another process searches in the same
                folder, or the study in the folder has another data set.
            RunError: the folder cannot be written.
        """
        super().__init__(shared, make, sweep)
        self._space, self._n_trials = space, n_trials
        self._running: dict[Job, Trial] = {}
        first = self._job({key: lowest(distribution) for key, distribution in self._space.items()})
        if isinstance(first, InvalidJob):  # an error that all trials share, such as an unknown key
            raise UserError(first.error)
        if not first.config.data.holdout:
            raise UserError("data.holdout: a search selects on held-out training images; set it, for example to 5000")
        self._lock = _lock(self._folder)
        self._study = open_study(self._folder)
        trials = self._study.get_trials(deepcopy=False)
        # A resumed search needs another seed. With the same seed it would propose the same values again.
        self._study.sampler = _sampler(seed + len(trials))
        data, used = first.config.data.name, self._study.user_attrs.get(DATA)
        if used not in (None, data):
            raise UserError(f"sweep.dir: the search in {self._folder} uses {used}, not {data}; name another folder")
        self._study.set_user_attr(DATA, data)
        counted = [trial for trial in trials if COUNTS in trial.user_attrs]
        self._asked = len(counted)
        self.states.update(DONE if trial.state == TrialState.COMPLETE else FAILED for trial in counted)
        for trial in trials:
            if trial.state == TrialState.RUNNING:  # a kill interrupted it
                self._study.tell(trial.number, state=TrialState.FAIL)
                self._study.enqueue_trial(trial.params)

    def close(self) -> None:
        """Releases the lock, so that other processes can search in the folder."""
        self._lock.release()

    @property
    def count(self) -> int:
        """The number of trials that are still to be run."""
        return max(0, self._n_trials - self._asked)

    def jobs(self) -> Iterator[Job]:
        """The jobs that Optuna proposes. A proposal that is invalid or has run before is reported to Optuna at once."""
        while self.count and not self.stopped:
            self._asked += 1
            with files.machine_errors(self._folder / STUDY):
                trial = self._study.ask(self._space)
            job = self._job(trial.params)
            add_entries(self._folder, [manifest_entry(job)])
            if isinstance(job, InvalidJob):
                self._reject(job)
                self._tell(trial, None, job.error)
            elif is_skipped(job.folder, self._sweep.retry_failed):
                self._tell(trial, score(job.folder), "failed before")
            elif any(running.folder == job.folder for running in self._running):
                self._tell(trial, None, "the same job is running")
            else:
                self._running[job] = trial
                yield job

    def job_ended(self, job: Job, error: str | None) -> None:
        """Reports the result of ``job`` to Optuna. If the machine failed the job, the next start proposes it again."""
        trial = self._running.pop(job)
        if error is None or is_skipped(job.folder, retry_failed=False):
            self._tell(trial, score(job.folder), error)

    def batches(self, size: int) -> Iterator[list[list[str]]]:
        """The overrides of ``size`` jobs at a time, for launchers that wait until all jobs of a batch have ended."""
        folder, jobs = path_override("sweep.dir", self._folder), self.jobs()
        while batch := list(islice(jobs, size)):
            yield [[*without_sweep_keys(job.overrides), folder] for job in batch]
            for job in batch:
                done = status(job.folder) == DONE
                self.job_ended(job, None if done else failure(job.folder) or "the job did not reach its end")

    def _job(self, values: Mapping[str, object]) -> Job | InvalidJob:
        return self._make((*self._shared, *(value_override(key, value) for key, value in values.items())))

    def _tell(self, trial: Trial, value: float | None, error: str | None) -> None:
        """Ends ``trial``. ``value`` is its accuracy in percent. None: it failed."""
        with files.machine_errors(self._folder / STUDY):
            trial.set_user_attr(COUNTS, True)
            if value is None:
                trial.set_user_attr("error", error)
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, value)


def _sampler(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():  # Optuna 4.2 warns that two arguments are experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, **SAMPLER)


def _lock(folder: Path) -> FileLock:
    """Locks the search in ``folder``. Without the lock, a second process would treat running trials as interrupted."""
    with files.machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = files.lock(folder / ".search.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(f"sweep.dir: another process is searching in {folder}") from error
    return lock
