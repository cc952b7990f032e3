"""The launcher of sweeps. It is here because Hydra takes plugins from packages of this name only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalLauncher(Launcher):
    """Runs the jobs of a sweep on workers of this machine."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra gives."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """The results in the order of ``job_overrides``; a job that has failed has None."""
        plan = self._task.plan  # type: ignore[attr-defined]  # cli.Task
        composed: list[Any] = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            job = self._context.config_loader.load_sweep_config(self._config, list(overrides))
            job.hydra.job.id, job.hydra.job.num = str(number), number
            composed.append(job)
        return [JobReturn(_return_value=value, status=JobStatus.COMPLETED) for value in plan(composed)]
