"""The launcher and the sweeper of sweeps. They are here because Hydra takes plugins from packages of this name only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mnist_lite.config.error_messages import USER_ERRORS, one_line
from mnist_lite.errors import LauncherError, RunError, UserError


class LocalLauncher(Launcher):
    """Runs the jobs of a sweep on workers of this machine."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra gives; the task is a ``mnist_lite.cli.hydra_task.Task``."""
        self._loader, self._config = hydra_context.config_loader, config
        self._task: Any = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """The results in the order of ``job_overrides``; a job that has failed has None."""
        del initial_job_idx
        values = self._task.run_here(self._loader, self._config, job_overrides)
        return [JobReturn(_return_value=value, status=JobStatus.COMPLETED) for value in values]


class GridSweeper(Sweeper):
    """Every combination of the values, by any launcher, and a table at the end.

    Hydra's own composes each job once more than its launchers do, only to see whether it can be: ten minutes for 10,000 jobs.
    """

    def __init__(self, params: Mapping[str, Any] | None) -> None:
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra gives; the task is a ``mnist_lite.cli.hydra_task.Task``."""
        self._loader = hydra_context.config_loader
        self._task: Any = task_function
        self.hydra_context, self.config = hydra_context, config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs what ``arguments`` ask for; they come after the config's own."""
        self._task.composed = True  # Hydra has come this far
        words = [*(f"{key}={value}" for key, value in self._params.items()), *arguments]
        overrides = OverridesParser.create(config_loader=self._loader).parse_overrides(words)
        for override in overrides:
            if override.get_key_element().startswith("sweep.") and override.is_sweep_override():
                raise UserError(f"{override.get_key_element()}: one value for the whole sweep, please")
        with self._task.sweeping(self.config):
            self._run(overrides)

    def _run(self, overrides: list[Override]) -> None:
        (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
        self._task.compose(self._loader, self.config, jobs[0])  # a slip in what all jobs share is told once
        self._launch(jobs, 0)

    def _launch(self, jobs: list[list[str]], first: int) -> None:
        """Has ``jobs`` done; ``first`` is the number of the first of them.

        Raises:
            LauncherError: the launcher is not ours and has failed, or a job of its raised an error.
        """
        if isinstance(self.launcher, LocalLauncher):
            self.launcher.launch(jobs, initial_job_idx=first)
            return
        assert self.config is not None
        if self.config.data.name == "auto":  # other launchers' jobs must all have the same data
            self._task.find_data(str(self.config.data.root))
        try:
            for done in self.launcher.launch(jobs, initial_job_idx=first):
                _ = done.return_value  # raises what the job raised
        except (*USER_ERRORS, RunError):
            raise
        except Exception as error:
            raise LauncherError(one_line(error)) from error


class OptunaSweeper(GridSweeper):
    """A search by Optuna: on this machine with a new trial as soon as one ends, by other launchers in batches."""

    def __init__(self, params: Mapping[str, Any] | None, n_trials: int, n_jobs: int, seed: int) -> None:
        super().__init__(params)
        self._n_trials, self._n_jobs, self._seed = n_trials, n_jobs, seed

    def _run(self, overrides: list[Override]) -> None:
        if not (type(self._n_jobs) is int and self._n_jobs >= 1):
            raise UserError(f"hydra.sweeper.n_jobs: {self._n_jobs} is out of range; expected a whole number >= 1")
        with closing(self._task.search(self._loader, self.config, overrides, self._n_trials, self._seed)) as search:
            if isinstance(self.launcher, LocalLauncher):
                self._task.search_here(search, self.config)
                return
            for number, jobs in enumerate(search.batches(self._n_jobs)):
                self._launch(jobs, number * self._n_jobs)
