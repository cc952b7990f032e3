"""One job of a sweep: its config, its folder, and the messages about it.

``run_job.py`` runs a job. ``job_status.py`` says whether a job is done. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mnist_lite import files
from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import Config
from mnist_lite.runner.identity import identity

Overrides = tuple[str, ...]
"""Overrides of Hydra: ``("model=era4", "optimizer.lr=0.01")``."""


@dataclass(frozen=True, eq=False)
class Job:
    """A run that belongs to a sweep."""

    overrides: Overrides
    config: Config
    folder: Path
    auto_data: str | None = None
    """The data set that ``data=auto`` stands for: ``mnist`` or ``digits``. None: the config names a data set."""


@dataclass(frozen=True, eq=False)
class InvalidJob:
    """A job whose config is invalid."""

    overrides: Overrides
    error: str


@dataclass(frozen=True)
class Progress:
    """A message about a job that is running."""

    fraction: float
    """The part of the training steps that is done: 0 to 1."""
    epoch: int
    accuracy: float | None
    """Test accuracy in percent of the last evaluation. None: there was none yet."""


@dataclass(frozen=True)
class Outcome:
    """A message about a job that has ended."""

    error: str | None
    """The reason of a failure, in one line. None: the job is done."""
    no_memory: bool = False
    """True if the job ran out of memory. It may fit when fewer jobs run beside it."""


def without_sweep_keys(overrides: Iterable[str]) -> Overrides:
    """``overrides`` without the keys of the sweep itself, such as ``sweep.workers``. They do not change the job."""
    return tuple(override for override in overrides if not override.startswith("sweep."))


def known_folders(root: Path) -> dict[str, Path]:
    """The folders of the jobs in the sweep folder ``root``, by the identity of the job."""
    return {path.name.rpartition("_")[2]: path for path in root.iterdir()} if root.is_dir() else {}


def job_folder(config: Config, known: Callable[[str], Path | None]) -> Path:
    """The folder of the job with this config. Configs that describe the same run have the same folder.

    ``known`` returns the folder that exists for an identity, or None.
    """
    digits = identity(config)
    return known(digits) or user_path("runs_dir", config.runs_dir) / f"{files.slug(config.name)}_{digits}"
