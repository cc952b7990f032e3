"""The folder of a run, ``runs/<time>_<name>/``: its lock, its files and its checkpoints.

One process at a time owns a folder. The checkpoints are written so that a kill at any moment leaves a good one. What a
checkpoint holds is in ``checkpoint.py``, and the rows of metrics are in ``metrics_file.py``.
"""

from __future__ import annotations

import errno
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mnist_lite import files
from mnist_lite.errors import MachineError, UserError
from mnist_lite.runner import checkpoint
from mnist_lite.runner.checkpoint import Checkpoint, DamagedError, ForeignError
from mnist_lite.runner.config_file import CONFIG
from mnist_lite.runner.metrics_file import MetricsFile
from mnist_lite.runner.summary import read_summary
from mnist_lite.training.step_metrics import Row

MAX_NAME_LENGTH = 180
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
CURVES, MODEL, LOG = "curves.png", "model.txt", "run.log"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderInUseError(UserError):
    """Another process is training in a run folder."""


@dataclass
class Latest:
    """The checkpoint that a resumed run continues from. See ``RunFolder.find_checkpoint``."""

    state: Checkpoint | None = None
    """None: there is no good checkpoint."""
    rows_intact: bool = True
    """Whether the rows of ``metrics.jsonl`` that belong to the checkpoint are unchanged."""
    damaged: list[Path] = field(default_factory=list)
    """Checkpoint files with a wrong checksum."""
    warnings: list[str] = field(default_factory=list)


class RunFolder:
    """A run folder that this process has locked. The system removes the lock when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Locks the folder ``path``, which exists.

        Raises:
            FolderInUseError: another process has it.
            MachineError: the folder cannot be written.
        """
        self.path = path
        self._lock = FileLock(path / ".lock", thread_local=False)
        with files.machine_errors(path / ".lock"):
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise FolderInUseError(f"resume: {path} is being trained by another process") from error
        self.metrics = MetricsFile(path)

    @classmethod
    def create(cls, root: Path, name: str) -> RunFolder:
        """Creates a new folder in ``root``. Its name is the time and ``name``, and a number if that folder exists.

        Raises:
            UserError: the folder cannot be created.
            MachineError: the disk is full.
        """
        safe_name = re.sub(r"[^A-Za-z0-9.+=-]+", "_", name) or "run"
        stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{safe_name}"[:MAX_NAME_LENGTH]
        number = 1
        try:
            root.mkdir(parents=True, exist_ok=True)
            while True:
                path = root / (stem if number == 1 else f"{stem}_{number}")
                try:
                    path.mkdir()  # fails if another run has just created it
                    break
                except FileExistsError:
                    number += 1
        except OSError as error:
            kind = MachineError if error.errno in FULL else UserError
            raise kind(f"runs_dir: cannot make a run folder in {root}: {error.strerror}") from error
        try:
            return cls(path)
        except MachineError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    @classmethod
    def create_at(cls, path: Path) -> RunFolder:
        """Creates the folder ``path`` for a new run. A process that was killed before its first file may have left it.

        Raises:
            FolderInUseError: another process has it, or has started a run in it.
            MachineError: it cannot be created.
        """
        with files.machine_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)
        if (path / CONFIG).exists():
            folder.close()
            raise FolderInUseError(f"sweep.dir: another process has started the run in {path}")
        with files.machine_errors(path):
            files.remove_temporary_files(path)
        return folder

    @classmethod
    def open_existing(cls, path: Path) -> RunFolder:
        """Opens the folder of a run, to resume it.

        Raises:
            UserError: it is not a run folder, it has a link or a folder in it, or another process has it.
        """
        if not (path / CONFIG).is_file():
            raise UserError(f"resume: {path} is not a run folder: it has no {CONFIG}")
        for entry in path.iterdir():
            if entry.is_symlink() or not entry.is_file():  # we would write to another place
                raise UserError(f"resume: {entry} is not a plain file; a run folder has nothing else")
        folder = cls(path)
        with files.machine_errors(path):
            files.remove_temporary_files(path)
        return folder

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, completely or not at all.

        Raises:
            MachineError: it cannot be written.
        """
        files.write(self.path / name, content)

    def remove(self, name: str) -> None:
        """Removes a file, if it exists."""
        with files.machine_errors(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def save(self, state: dict[str, Any]) -> None:
        """Writes ``last.pt``, and keeps the old one as ``previous.pt``.

        ``state`` is a ``Checkpoint`` without its part ``metrics``: the rows so far are written to the disk here.
        """
        content = checkpoint.pack({**state, "metrics": self.metrics.sync()})
        files.write(self.path / LAST, content, keep=self.path / PREVIOUS)

    def find_checkpoint(self) -> Latest:
        """The newest good checkpoint. Changes nothing in the folder.

        A checkpoint is good if its checksum is right. ``previous.pt`` is taken if only its rows are intact, because
        rows that are missing after it will be trained again. If the rows of both have changed, ``last.pt`` is taken.

        Raises:
            UserError: a checkpoint has another format, or is not a checkpoint of this program.
        """
        latest = Latest()
        for name in (LAST, PREVIOUS):
            path = self.path / name
            if not path.exists():
                continue
            try:
                state = checkpoint.load(path)
            except ForeignError as error:
                raise UserError(
                    f"resume: {path} is not a checkpoint of this program: {error}; remove it to continue without it"
                ) from error
            except DamagedError as error:
                latest.warnings.append(f"{path} cannot be used: {error}. It is kept under the name {name}.damaged.")
                latest.damaged.append(path)
                continue
            problem = self.metrics.problem(state["metrics"])
            if problem is None:
                latest.state, latest.rows_intact = state, True
                break
            latest.warnings.append(f"{path} is good, but {problem}.")
            if latest.state is None:
                latest.state, latest.rows_intact = state, False
        return latest

    def rewind(self, latest: Latest) -> list[Row]:
        """Goes back to the checkpoint ``latest``: removes all later rows of metrics. Returns the rows that are left.

        Damaged checkpoints are renamed to ``<name>.damaged``. If the rows have changed, those that can still be read
        are kept.

        Raises:
            UserError: ``metrics.jsonl`` is not a file of this program.
        """
        for path in latest.damaged:
            with files.machine_errors(path):
                path.replace(path.with_name(f"{path.name}.damaged"))
        if latest.state is None:
            return self.metrics.truncate(0)
        if latest.rows_intact:
            return self.metrics.truncate(latest.state["metrics"]["bytes"])
        return self.metrics.salvage(latest.state["step"])

    def is_complete(self) -> bool:
        """Whether the folder has all files of a finished run."""
        try:
            checkpoint.read(self.path / BEST)
        except (DamagedError, ForeignError):
            return False
        return read_summary(self.path) is not None and all(
            (self.path / name).exists() for name in (LAST, CURVES, MODEL)
        )

    def delete(self) -> None:
        """Removes the folder of a run that has trained nothing."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Closes the files and releases the lock."""
        self.metrics.close()
        self._lock.release()
