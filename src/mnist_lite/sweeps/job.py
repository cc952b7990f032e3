"""One job of a sweep: its config, its folder, and the files in that folder that tell how the job ended.

This module does not run jobs (see ``run_job.py``) and does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mnist_lite import files
from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import Config
from mnist_lite.errors import MachineError
from mnist_lite.runner.identity import identity
from mnist_lite.runner.summary import read_summary

Overrides = tuple[str, ...]
"""Overrides of Hydra: ``("model=era4", "optimizer.lr=0.01")``."""

ERROR = "error.txt"
"""The file with the reason why a job failed by itself. The next start of the sweep skips the job."""
FAULT = "fault.txt"
"""The file with the reason why the machine failed the job. The next start of the sweep runs the job again."""
WILL_RETRY = "the same command tries this job again"
DONE, FAILED, INTERRUPTED, MISSING = "done", "failed", "interrupted", "missing"
"""The states of a job. An interrupted job continues from its checkpoint. A missing job has not started."""


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


def status(folder: Path) -> str:
    """The state of the job in ``folder``: ``done``, ``failed``, ``interrupted`` or ``missing``."""
    if read_summary(folder) is not None:
        return DONE
    with suppress(OSError):  # the folder cannot be read
        if (folder / ERROR).is_file() or (folder / FAULT).is_file():
            return FAILED
        return INTERRUPTED if (folder / "config.yaml").is_file() else MISSING
    return MISSING


def is_settled(folder: Path, retry_failed: bool) -> bool:
    """True if the next start of the sweep skips the job: it is done, or it failed by itself and is not retried."""
    state = status(folder)
    return state == DONE or (state == FAILED and not retry_failed and (folder / ERROR).is_file())


def mark_failed(folder: Path, error: str, of_machine: bool, details: str = "") -> bool:
    """Writes into the folder of a job that it failed: the line ``error``, then ``details``. False: writing failed, too.

    ``of_machine``: the machine failed the job, so the next start of the sweep tries the job again.
    """
    name, text = (FAULT, f"{error}; {WILL_RETRY}\n") if of_machine else (ERROR, f"{error}\n")
    with suppress(OSError, MachineError):
        folder.mkdir(parents=True, exist_ok=True)
        files.write(folder / name, (text + details).encode())
        return True
    return False


def clear_failure(folder: Path) -> None:
    """Removes what ``mark_failed`` wrote.

    Raises:
        MachineError: a file cannot be removed.
    """
    for name in (ERROR, FAULT):
        with files.machine_errors(folder / name), suppress(FileNotFoundError, NotADirectoryError):
            (folder / name).unlink()


def failure(folder: Path) -> str | None:
    """The reason why the job failed, in one line. None: the job did not fail."""
    for name in (ERROR, FAULT):
        with suppress(OSError):
            return next(iter((folder / name).read_text("utf-8", "replace").splitlines()), "")
    return None


def has_checkpoint(folder: Path) -> bool:
    """True if the run in ``folder`` has saved its state at least once."""
    return (folder / "last.pt").is_file()


def score(folder: Path) -> float | None:
    """The final accuracy in percent that a search maximizes. None: the job is not done.

    It is measured on the held-out training images, or on the test images if the job has no held-out images.
    """
    summary = read_summary(folder)
    return None if summary is None else (summary.accuracy.holdout or summary.accuracy.test).final
