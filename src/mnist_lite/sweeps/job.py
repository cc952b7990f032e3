"""One job of a sweep: a resolved config, the folder that belongs to it, and what has become of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mnist_lite import files
from mnist_lite.config.schema import Config
from mnist_lite.errors import MachineError
from mnist_lite.runner.identity import identity
from mnist_lite.runner.summary import read_summary

MAX_NAME_LENGTH = 160
ERROR = "error.txt"
"""Says why a job failed. A sweep that is started again leaves the job alone."""
FAULT = "fault.txt"
"""Says how the machine failed the job. A sweep that is started again tries the job again."""
WILL_RETRY = "the same command tries this job again"
DONE, FAILED, INTERRUPTED, MISSING = "done", "failed", "cut", "missing"


@dataclass(frozen=True, eq=False)
class Job:
    """A run that a sweep wants."""

    overrides: tuple[str, ...]
    """What the sweep varies: ``optimizer.lr=0.01``."""
    config: Config
    folder: Path
    found: str | None = None
    """What ``data=auto`` was resolved to. None: the config names a data set."""


@dataclass(frozen=True, eq=False)
class InvalidJob:
    """A job whose config is not one."""

    overrides: tuple[str, ...]
    error: str


def without_sweep_keys(words: Iterable[str]) -> tuple[str, ...]:
    """``words`` but for those that say how the sweep is carried out: they do not make another job of it."""
    return tuple(word for word in words if not word.startswith("sweep."))


def known_folders(root: Path) -> dict[str, Path]:
    """The folders of a sweep by the identity of their job."""
    return {path.name.rpartition("_")[2]: path for path in root.iterdir()} if root.is_dir() else {}


def job_folder(config: Config, known: Callable[[str], Path | None]) -> Path:
    """Where the run of ``config`` lives in its sweep: the same for the same job, by whatever words it was asked for.

    ``known`` gives the folder of an identity, if there is one.
    """
    mark = identity(config)
    name = re.sub(r"[^A-Za-z0-9.+=,-]+", "_", config.name)[:MAX_NAME_LENGTH]
    return known(mark) or Path(config.runs_dir).expanduser() / f"{name}_{mark}"


def status(folder: Path) -> str:
    """``done``, ``failed``, ``cut`` (it can be gone on with) or ``missing``."""
    if read_summary(folder) is not None:
        return DONE
    with suppress(OSError):  # a folder that cannot be read
        if (folder / ERROR).is_file() or (folder / FAULT).is_file():
            return FAILED
        return INTERRUPTED if (folder / "config.yaml").is_file() else MISSING
    return MISSING


def is_settled(folder: Path, retry_failed: bool) -> bool:
    """Whether a sweep that is started again leaves the job alone: it is done, or failed by a fault that is its own."""
    state = status(folder)
    return state == DONE or (state == FAILED and not retry_failed and (folder / ERROR).is_file())


def mark_failed(folder: Path, error: str, of_machine: bool, details: str = "") -> bool:
    """Writes into the job's folder that it failed: ``error``, one line, and below it ``details``. False: that failed, too.

    ``of_machine``: the machine failed and not the job, which is tried again.
    """
    name, text = (FAULT, f"{error}; {WILL_RETRY}\n") if of_machine else (ERROR, f"{error}\n")
    with suppress(OSError, MachineError):
        folder.mkdir(parents=True, exist_ok=True)
        files.write(folder / name, (text + details).encode())
        return True
    return False


def forget_failure(folder: Path) -> None:
    """Takes the mark of ``mark_failed`` away.

    Raises:
        MachineError: it cannot be removed.
    """
    for name in (ERROR, FAULT):
        with files.machine_errors(folder / name), suppress(FileNotFoundError, NotADirectoryError):
            (folder / name).unlink()


def failure(folder: Path) -> str | None:
    """Why the job failed, in one line; None: it did not."""
    for name in (ERROR, FAULT):
        with suppress(OSError):
            return next(iter((folder / name).read_text("utf-8", "replace").splitlines()), "")
    return None


def has_checkpoint(folder: Path) -> bool:
    """Whether the run in ``folder`` has saved its state at least once."""
    return (folder / "last.pt").is_file()


def score(folder: Path) -> float | None:
    """What a search is after: final accuracy on the held-out part of train if there is one, else on test; None: not done."""
    summary = read_summary(folder)
    return None if summary is None else (summary.accuracy.holdout or summary.accuracy.test).final
