"""The task: the function that Hydra calls with a composed config."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_lite.config.compose import (
    complete,
    compose_job,
    read_config,
    read_sweep_config,
    resolving_config,
    sweep_folder,
)
from mnist_lite.config.overrides import key_of, user_path
from mnist_lite.config.schema import Config, DataConfig
from mnist_lite.errors import UserError, exit_code_of
from mnist_lite.insight import zoo
from mnist_lite.insight.locate import LATEST, latest
from mnist_lite.process.startup import keep_streams_usable
from mnist_lite.runner.config_file import resumed_config
from mnist_lite.sweeps.job import Job, known_folders
from mnist_lite.sweeps.job_status import score
from mnist_lite.sweeps.sweep import DataFinder, Sweep, make_job, run_launched_job

C = TypeVar("C", bound=Config)


class Task(Generic[C]):
    """Runs one job of a command. A launcher of a cluster pickles it and calls it on another machine.

    Hydra discards what its task and its sweeper return, so the exit code is an attribute.
    """

    def __init__(self, schema: type[C], job: Callable[..., int]) -> None:
        """``job`` gets the config as an object of ``schema``, and returns the exit code.

        A resumed run also gets the keyword ``download``. It is false if ``config.data.root`` comes from the folder of the run.
        """
        self._schema, self._job = schema, job
        self.find_data = DataFinder()
        self.exit_code = 0
        self.composed = False
        """True as soon as Hydra has composed the config. An error before that is an error of the config."""

    @property
    def trains(self) -> bool:
        """True for the command that trains. Only its jobs have a folder in a sweep."""
        return self._schema is Config

    def __call__(self, composed: DictConfig) -> float | None:
        """Runs the job. Returns its score if it is a run of a sweep: the final accuracy in percent."""
        self.composed = True
        if self.trains and HydraConfig.get().mode == RunMode.MULTIRUN:
            return self._run_in_sweep(composed)
        code = exit_code_of(lambda: self._run_job(self._config_of(composed)))
        self.exit_code = max(self.exit_code, code)
        return None

    def sweep(self, loader: ConfigLoader, composed: DictConfig) -> Sweep:
        """The sweep that Hydra has ``composed``.

        Raises:
            UserError: a setting of the sweep is not allowed.
        """
        numbers = itertools.count()

        def compose(overrides: Sequence[str]) -> Config:
            return read_config(compose_job(loader, composed, overrides, next(numbers)), Config)

        with resolving_config():
            data = DataConfig(name=composed.data.name, root=str(composed.data.root))
            return Sweep(read_sweep_config(composed), compose, self.find_data, data, str(composed.device))

    def _run_job(self, config: C) -> int:
        if config.resume is None:
            return self._job(config)
        return self._job(config, download="data.root" in map(key_of, HydraConfig.get().overrides.task))

    def _config_of(self, composed: DictConfig) -> C:
        with resolving_config():
            # The texts are not resolved: an interpolation that fails is reported later, with its key.
            texts: Any = OmegaConf.to_container(HydraConfig.get().overrides.task) if self.trains else []
            for key in map(key_of, texts):
                if key.startswith("sweep."):
                    raise UserError(f"{key}: only a sweep has this key; add -m")
            folder = OmegaConf.select(composed, "resume")
            if folder is not None and self.trains:
                if not folder:
                    raise UserError("resume: empty; name the folder of a run")
                complete(composed)
                if str(folder).startswith(zoo.PREFIX):
                    raise UserError(f"resume: {folder} has only weights; a resume needs the folder of a run")
                path, overrides = user_path("resume", folder), list(HydraConfig.get().overrides.task)
                if folder == LATEST:  # runs_dir says where to look, and is no change of the run
                    path = latest(user_path("runs_dir", composed.runs_dir))
                    overrides = [override for override in overrides if key_of(override) != "runs_dir"]
                config = resumed_config(path, composed, overrides)
                assert isinstance(config, self._schema)
                return config
        return read_config(composed, self._schema)

    def _run_in_sweep(self, composed: DictConfig) -> float | None:
        keep_streams_usable()  # the process was started by a launcher, and not by a command of ours
        folder, overrides = sweep_folder(), HydraConfig.get().overrides.task
        known = known_folders(folder)
        job = make_job(overrides, lambda: read_config(composed, Config), known.get, self.find_data)
        if run_launched_job(folder, job) is not None:
            self.exit_code = 1
        return score(job.folder) if isinstance(job, Job) else None
