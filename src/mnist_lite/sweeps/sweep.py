"""One sweep from its start to its table: makes its jobs, runs them on this machine, and reports how it ended.

This module does not know Hydra. It gets a function that composes a config from overrides, and plain values.
"""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_lite.config.overrides import restart_command
from mnist_lite.config.schema import Config, DataConfig, SearchConfig, SweepConfig
from mnist_lite.errors import LauncherError, RunError, UserError, printable
from mnist_lite.process.stop_request import preemption_waits
from mnist_lite.reporting.text_layout import counted
from mnist_lite.sweeps.finalize import finalize, list_outputs
from mnist_lite.sweeps.grid import Grid
from mnist_lite.sweeps.job import InvalidJob, Job, job_folder, known_folders, without_sweep_keys
from mnist_lite.sweeps.job_status import has_checkpoint
from mnist_lite.sweeps.manifest import add_entries, manifest_entry
from mnist_lite.sweeps.results import has_failures
from mnist_lite.sweeps.run_local import run_local
from mnist_lite.sweeps.source import JobMaker

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from mnist_lite.sweeps.search import Search  # imports Optuna, which is an extra


class DataFinder:
    """Finds out what ``data=auto`` is: ``mnist`` or ``digits``. It looks once per folder, and warns once.

    The launcher of a cluster sends this object, with what it has found, to every job. So all jobs use the same data set.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, root: str) -> str:
        """The name of the data set for ``data=auto`` with ``data.root=<root>``."""
        if root not in self._names:
            from mnist_lite.data.dataset import resolve_auto  # imports torch
            from mnist_lite.reporting.console import Console

            self._names[root], warning = resolve_auto(root)
            if warning is not None:
                with closing(Console()) as console:
                    console.warn(warning)
        return self._names[root]


def make_job(
    overrides: Sequence[str],
    compose: Callable[[], Config],
    known: Callable[[str], Path | None],
    find_data: Callable[[str], str],
) -> Job | InvalidJob:
    """The job of a sweep with these ``overrides``.

    ``compose()`` returns its config. ``known(identity)`` returns the folder that exists for this identity, or None.
    The data set is part of the identity of a job, so ``data=auto`` is replaced by what ``find_data`` returns.
    """
    overrides = without_sweep_keys(overrides)
    try:
        config = compose()
    except UserError as error:
        return InvalidJob(overrides, str(error))
    auto_data = find_data(config.data.root) if config.data.name == "auto" else None
    if auto_data is not None:
        config = replace(config, data=replace(config.data, name=auto_data))
    return Job(overrides, config, job_folder(config, known), auto_data)


@dataclass(frozen=True)
class Sweep:
    """A sweep of runs, started on this machine."""

    config: SweepConfig
    compose: Callable[[Sequence[str]], Config]
    """The config of the job with these overrides. Raises ``UserError`` if it is invalid."""
    find_data: Callable[[str], str]
    data: DataConfig
    """The data settings that all jobs have in common."""
    device: str
    """``device`` of the sweep."""

    @property
    def folder(self) -> Path:
        """The folder of the sweep."""
        return Path(self.config.dir)

    def job_maker(self) -> JobMaker:
        """A function that makes a job from overrides. A job gets its old folder, if it has one now."""
        known = known_folders(self.folder)
        return lambda overrides: make_job(overrides, lambda: self.compose(overrides), known.get, self.find_data)

    def resolve_auto_data(self) -> None:
        """Finds out what ``data=auto`` is, before a launcher sends ``find_data`` to the jobs."""
        if self.data.name == "auto":
            self.find_data(self.data.root)

    def run_grid(self, wanted: Sequence[Sequence[str]], digest: str) -> int:
        """Runs the jobs with the overrides ``wanted`` on worker processes. Returns the exit code: 2 if all are invalid.

        ``digest`` changes when a config file changes.
        """
        keys = [tuple(overrides) for overrides in wanted]
        grid = Grid(keys, self.job_maker(), self.config, digest, lambda: self.find_data(self.data.root))
        states = ", ".join(f"{number} {state}" for state, number in grid.states.items())
        failures = run_local(
            f"sweep of {counted(len(keys), 'job')} in {self.folder}: {states}", grid, self.device, self.config
        )
        if len(grid.invalid_jobs) == len(keys):
            return UserError.exit_code
        return RunError.exit_code if failures or grid.invalid_jobs else 0

    def open_search(self, overrides: Sequence[Override], settings: SearchConfig) -> Search:
        """Starts the search in the folder of the sweep, or continues it.

        Raises:
            UserError: nothing can be searched, or Optuna is not installed.
        """
        try:
            from mnist_lite.sweeps.search import Search
            from mnist_lite.sweeps.search_space import parse_space
        except ModuleNotFoundError as error:
            raise UserError(f'hydra/sweeper=optuna: {error}; in the checkout: pip install -e ".[search]"') from error
        space, shared = parse_space(overrides)
        return Search(space, shared, self.job_maker(), self.config, settings.n_trials, settings.seed)

    def run_search(self, search: Search) -> int:
        """Runs the trials of ``search`` on worker processes. Returns the exit code."""
        states = "".join(f"{number} {state}, " for state, number in search.states.items())
        headline = f"search in {self.folder}: {states}{search.count} to run"
        return RunError.exit_code if run_local(headline, search, self.device, self.config) else 0


def run_and_report(folder: Path, work: Callable[[], int]) -> int:
    """Calls ``work``, which runs the jobs of the sweep in ``folder``, and writes the table. Returns the exit code.

    The table is written after an interrupt and after an error of a launcher, too. After an interrupt, the shell command that
    resumes the sweep is printed.

    Raises:
        KeyboardInterrupt: a signal came. All jobs have been stopped.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        code = work()
    except KeyboardInterrupt:
        if folder in missing and not any(path.is_dir() for path in folder.glob("*")):  # no job has started
            _remove(missing)
        elif folder.is_dir():
            saved = any(has_checkpoint(job) for job in folder.iterdir())
            headline = "To continue:" if saved else "No job has a checkpoint yet. To start again:"
            print(printable(f"{headline}\n{restart_command(folder)}"), flush=True)
            with suppress(UserError, RunError):
                finalize(folder)
        raise
    except LauncherError as error:
        traceback.print_exception(error.__cause__)
        print(printable(f"error: the launcher has failed: {error}"), file=sys.stderr, flush=True)
        code = RunError.exit_code
    rows, text = finalize(folder)
    if rows:
        print(printable(f"\n{text}\n\n{list_outputs(folder)}"), flush=True)
    return max(code, int(has_failures(rows)))


def run_launched_job(folder: Path, job: Job | InvalidJob) -> str | None:
    """Runs ``job`` of the sweep in ``folder`` in this process, which a launcher has started. Returns why it failed, or None."""
    with preemption_waits():
        from mnist_lite.sweeps.run_job import run_job  # imports torch

    add_entries(folder, [manifest_entry(job)])
    error = job.error if isinstance(job, InvalidJob) else run_job(job).error
    if error is not None:
        print(printable(f"FAILED  {','.join(job.overrides)}: {error}"), file=sys.stderr, flush=True)
    return error


def _remove(folders: Sequence[Path]) -> None:
    """Removes ``folders``, the innermost first. Only the first may have content."""
    shutil.rmtree(folders[0], ignore_errors=True)
    with suppress(OSError):
        for folder in folders[1:]:
            folder.rmdir()
