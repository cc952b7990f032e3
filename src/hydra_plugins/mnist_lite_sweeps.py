"""Hydra's plugins: a launcher, two sweepers, the user's folder. Hydra finds them only in a package of this name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mnist_lite.cli.hydra_task import Task
from mnist_lite.config.compose import compose_job, config_digest, config_errors_for_users, resolving_config
from mnist_lite.config.error_messages import one_line
from mnist_lite.config.loader import UserFolder
from mnist_lite.config.schema import Config, SearchConfig, validate_node
from mnist_lite.errors import ExpectedError, LauncherError, UserError
from mnist_lite.sweeps.sweep import Sweep, run_and_report

__all__ = ["GridSweeper", "LocalLauncher", "OptunaSweeper", "UserFolder"]


class LocalLauncher(Launcher):
    """Runs jobs one after another in this process.

    The sweepers below use it for commands that do not train. Trainings they run on worker processes of this machine instead.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self._loader, self._task, self._config = hydra_context.config_loader, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs. The results are in the order of ``job_overrides``."""
        results = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            value = self._task(compose_job(self._loader, self._config, overrides, number))
            results.append(JobReturn(_return_value=value, status=JobStatus.COMPLETED))
        return results


class GridSweeper(Sweeper):
    """Runs every combination of the values, on any launcher.

    Hydra's own sweeper composes each job twice, the first time only to find errors. For 10,000 jobs that is ten minutes.
    """

    def __init__(self, params: Mapping[str, object] | None) -> None:
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        assert isinstance(task_function, Task)
        self._task: Task[Config] = task_function
        self._loader, self._config = hydra_context.config_loader, config
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the sweep: ``hydra.sweeper.params``, and after them the overrides ``arguments``."""
        texts = [*(f"{key}={value}" for key, value in self._params.items()), *arguments]
        overrides = OverridesParser.create(config_loader=self._loader).parse_overrides(texts)
        self._task.composed = True
        for override in overrides:
            if override.get_key_element().startswith("sweep.") and override.is_sweep_override():
                raise UserError(f"{override.get_key_element()}: takes one value for the whole sweep")
        if not self._task.trains:
            self._launch(self._jobs(overrides))
            return
        sweep = self._task.sweep(self._loader, self._config)
        code = run_and_report(sweep.folder, lambda: self._train(sweep, overrides))
        self._task.exit_code = max(self._task.exit_code, code)

    def _train(self, sweep: Sweep, overrides: list[Override]) -> int:
        """Runs the trainings of ``sweep``. Returns the exit code."""
        jobs = self._jobs(overrides)
        if isinstance(self._launcher, LocalLauncher):
            return sweep.run_grid(jobs, config_digest(self._loader))
        sweep.resolve_auto_data()
        self._launch(jobs)
        return 0

    def _jobs(self, overrides: list[Override]) -> list[tuple[str, ...]]:
        """The overrides of each job. The first job is composed, so that an error of all jobs is printed once."""
        jobs = combinations(overrides)
        compose_job(self._loader, self._config, jobs[0])
        return jobs

    def _launch(self, jobs: Sequence[Sequence[str]], first: int = 0) -> None:
        """Runs ``jobs`` with the launcher. ``first`` is the number of the first of them.

        Raises:
            UserError: the config of a job cannot be composed.
            LauncherError: a launcher of another package has failed, or a job of it has raised an error.
        """
        if isinstance(self._launcher, LocalLauncher):
            self._launcher.launch(jobs, first)
            return
        try:
            with config_errors_for_users():
                results = self._launcher.launch(jobs, initial_job_idx=first)
            for result in results:
                _ = result.return_value  # raises the error of the job
        except ExpectedError:
            raise
        except Exception as error:
            raise LauncherError(one_line(error)) from error


class OptunaSweeper(GridSweeper):
    """A search by Optuna. On this machine a new trial starts as soon as one ends; other launchers run batches."""

    def __init__(self, params: Mapping[str, object] | None, n_trials: object, n_jobs: object, seed: object) -> None:
        super().__init__(params)
        self._settings = {"n_trials": n_trials, "n_jobs": n_jobs, "seed": seed}

    def _train(self, sweep: Sweep, overrides: list[Override]) -> int:
        settings = validate_node(self._settings, SearchConfig, "hydra.sweeper.")
        with closing(sweep.open_search(overrides, settings)) as search:
            if isinstance(self._launcher, LocalLauncher):
                return sweep.run_search(search)
            sweep.resolve_auto_data()
            for number, jobs in enumerate(search.batches(settings.n_jobs)):
                self._launch(jobs, number * settings.n_jobs)
        return 0


def combinations(overrides: list[Override]) -> list[tuple[str, ...]]:
    """The overrides of each job of a grid: every combination of the values. The last override of a key counts.

    Raises:
        UserError: a range of a search, such as ``interval(0,1)``, whose values cannot be listed. Or a range without values.
    """
    values: dict[str, list[str]] = {}
    with resolving_config():
        for override in overrides:
            key = override.get_key_element()
            texts = (
                override.sweep_string_iterator()
                if override.is_sweep_override()
                else [override.get_value_element_as_str()]
            )
            values[key] = list(dict.fromkeys(f"{key}={text}" for text in texts))
            if not values[key]:
                raise UserError(f"{key}: {str(override.input_line).partition('=')[2]} has no values")
        return list(product(*values.values()))
