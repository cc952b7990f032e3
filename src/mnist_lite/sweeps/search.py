"""A search: Optuna proposes jobs and is told what came of them. Its study lives in the sweep's folder and can be gone on with."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import Trial, TrialState

from mnist_lite import files
from mnist_lite.config.overrides import path_override
from mnist_lite.config.schema import SweepConfig
from mnist_lite.errors import UserError
from mnist_lite.sweeps.grid import Make
from mnist_lite.sweeps.job import DONE, InvalidJob, Job, failure, is_settled, score, status, without_sweep_keys
from mnist_lite.sweeps.manifest import STUDY, add, drop_incomplete_line, manifest_entry
from mnist_lite.sweeps.search_space import lowest, word

DATA = "data"
"""The study has this attribute: the data set of its trials. Accuracies on different data sets must not be mixed."""
SAMPLER: Mapping[str, Any] = {
    "n_startup_trials": 10,
    "n_ei_candidates": 24,
    "multivariate": True,
    "group": False,
    "constant_liar": True,
}
"""Arguments of TPE. Optuna 4.2 and 5.0 have different defaults for ``multivariate`` and ``constant_liar``, so no default is used.

``multivariate`` models all keys together. ``constant_liar`` counts running trials as poor, so that workers try different values.
The other arguments of Optuna 4.2 are deprecated in 5.0; their defaults mean the same in both.
"""
COUNTS = "counts"
"""A trial has this attribute if it used up one of the trials that were asked for; one that a kill cut off is proposed again."""


class Search:
    """A source of jobs, for the pool. Accuracy on the held-out part of train decides; the test images have no say."""

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        same: Sequence[str],
        make: Make,
        sweep: SweepConfig,
        n_trials: int,
        seed: int,
    ) -> None:
        """Begins the study, or goes on with it; ``same`` are the words that all trials share.

        Raises:
            UserError: the config that all share is not one, or keeps no images out to select on; or another process is
                searching in the same folder.
            RunError: the sweep's folder cannot be written.
        """
        self.stopped = False
        self._space, self._same, self._make = dict(space), tuple(same), make
        self._folder, self._retry = Path(sweep.dir), sweep.retry_failed
        self._fail_fast = sweep.fail_fast
        self._running: dict[Job, Trial] = {}
        first = make((*self._same, *(word(key, lowest(kind)) for key, kind in self._space.items())))
        if isinstance(first, InvalidJob):  # so would all be: an unknown key, or a model without such a knob
            raise UserError(first.error)
        if not first.config.data.holdout:
            raise UserError("data.holdout: a search selects on held-out training images; set it, for example to 5000")
        with files.machine_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._folder / ".search.lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:  # its trials that run would look as if a kill had cut them off
                raise UserError(f"sweep.dir: another process is searching in {self._folder}") from error
        self._study = load(self._folder, seed)
        data = first.config.data.name
        if self._study.user_attrs.setdefault(DATA, data) != data:
            self.close()
            raise UserError(
                f"sweep.dir: the search in {self._folder} was made on {self._study.user_attrs[DATA]}, and this one is on {data}; "
                "name another folder"
            )
        self._study.set_user_attr(DATA, data)
        begun = self._study.get_trials(deepcopy=False)
        self._asked = sum(COUNTS in trial.user_attrs for trial in begun)
        self._wanted = n_trials
        self.states = Counter(trial.state.name.lower() for trial in begun if COUNTS in trial.user_attrs)
        """Of the trials, before this start: complete, fail."""
        for trial in begun:
            if trial.state == TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)
                self._study.enqueue_trial(trial.params)

    def close(self) -> None:
        """Lets others search in the folder."""
        self._lock.release()

    @property
    def count(self) -> int:
        """Trials that are still to be made."""
        return max(0, self._wanted - self._asked)

    def label(self, job: Job | InvalidJob) -> str:
        """What the job has that not all have."""
        return ",".join(word for word in job.overrides if word.partition("=")[0] in self._space)

    def next_job(self) -> Job | None:
        """The next job; None: there is none left."""
        while self.count and not self.stopped:
            self._asked += 1
            with files.machine_errors(self._folder / STUDY):
                trial = self._study.ask(self._space)
            words = (*self._same, *(word(key, value) for key, value in trial.params.items()))
            made = self._make(words)
            add(self._folder, [manifest_entry(made)])
            if isinstance(made, InvalidJob):
                print(f"error: job {self.label(made)}: {made.error}", file=sys.stderr, flush=True)
                self.stopped = self._fail_fast
                self._tell(trial, None, made.error)
                continue
            if is_settled(made.folder, self._retry):
                self._tell(trial, score(made.folder), "failed before")
            elif any(job.folder == made.folder for job in self._running):
                self._tell(trial, None, "the same as one that is running")
            else:
                self._running[made] = trial
                return made
        return None

    def prepare_next(self) -> bool:
        """Nothing: what to try next depends on what comes of those that run."""
        return False

    def ended(self, job: Job, error: str | None) -> None:
        """``job`` is done, or has failed. A trial that the machine failed stays open: the next start proposes it again."""
        trial = self._running.pop(job)
        if error is None or is_settled(job.folder, retry_failed=False):
            self._tell(trial, score(job.folder), error)

    def batches(self, size: int) -> Iterator[list[list[str]]]:
        """For launchers that end all before they begin more: the words of ``size`` jobs at a time."""
        while True:
            jobs = [job for _ in range(min(size, self.count)) if (job := self.next_job()) is not None]
            if not jobs:
                return
            where = path_override("sweep.dir", self._folder)
            yield [[*without_sweep_keys(job.overrides), where] for job in jobs]
            for job in jobs:
                done = status(job.folder) == DONE
                self.ended(job, None if done else failure(job.folder) or "it has not reached its end")

    def _tell(self, trial: Trial, value: float | None, error: str | None) -> None:
        with files.machine_errors(self._folder / STUDY):
            trial.set_user_attr(COUNTS, True)
            if value is None:
                trial.set_user_attr("error", error)
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, value)


def load(folder: Path, seed: int = 0) -> optuna.Study:
    """The study in a sweep's folder, or a new one. A file and no database: it needs no server, and stays readable over NFS.

    Raises:
        UserError: the file is not that of a study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / STUDY
    if path.exists():
        lock = JournalFileSymlinkLock(str(path))
        lock.acquire()
        try:
            with path.open("rb+") as file:
                drop_incomplete_line(file)
        finally:
            lock.release()
    try:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(storage=storage, study_name="search", direction="maximize", load_if_exists=True)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not the file of a study. Without it the same command begins a new one, and does no job twice."
        ) from error
    # Each start draws from a stream of its own: else a second start would propose what the first did.
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", optuna.exceptions.ExperimentalWarning
        )  # Optuna 4.2 calls two of them experimental
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials(deepcopy=False)), **SAMPLER)
    return study
