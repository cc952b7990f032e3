"""The folder of a run, ``runs/<time>_<name>/``: its lock, its files and its checkpoints.

One process at a time owns a folder. The checkpoints are written so that a kill at any moment leaves a good one. What a
checkpoint holds is in ``checkpoint.py``, and the rows of metrics are in ``metrics_file.py``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import Timeout

from mnist_lite import files
from mnist_lite.errors import MachineError, UserError
from mnist_lite.runner import checkpoint
from mnist_lite.runner.checkpoint import Checkpoint, DamagedError, ForeignError
from mnist_lite.runner.config_file import CONFIG
from mnist_lite.runner.metrics_file import MAX_BYTES, MetricsFile
from mnist_lite.runner.summary import read_summary

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
CURVES, MODEL, LOG = "curves.png", "model.txt", "run.log"


class FolderInUseError(UserError):
    """Another process is training in a run folder."""


class RunFolder:
    """A run folder that this process has locked. The system removes the lock when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Locks the folder ``path``, which exists.

        Raises:
            UserError: it is a link, or it contains a link, a folder or a device, so that a write would go to another place.
            FolderInUseError: another process has it.
            MachineError: the folder cannot be written.
        """
        self.path = path
        _check_entries(path)
        with files.machine_errors(path / ".lock"):
            self._lock = files.lock(path / ".lock")
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
            MachineError: the files in it cannot be created.
        """
        stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{files.slug(name) or 'run'}"
        try:
            root.mkdir(parents=True, exist_ok=True)
            for number in count(1):
                path = root / (stem if number == 1 else f"{stem}_{number}")
                with suppress(FileExistsError):
                    path.mkdir()
                    break
        except OSError as error:
            raise UserError(f"runs_dir: cannot make a run folder in {root}: {error.strerror}") from error
        try:
            return cls(path)
        except MachineError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    @classmethod
    def create_at(cls, path: Path) -> RunFolder:
        """Creates the folder ``path`` for a new run.

        The folder may exist: a process that was killed before it wrote its first file may have left it.

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
            UserError: it is not a run folder, or it has other things than plain files, or another process has it.
        """
        path = files.real_folder(path)
        if not (path / CONFIG).is_file():
            raise UserError(f"resume: {path} is not a run folder: it has no {CONFIG}")
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

        ``state`` is a ``Checkpoint`` without its part ``metrics``, which is added here.
        """
        self.metrics.sync()
        content = checkpoint.pack({**state, "metrics": self.metrics.text})
        files.write(self.path / LAST, content, keep=self.path / PREVIOUS)

    def find_checkpoint(self) -> tuple[Checkpoint | None, dict[str, DamagedError]]:
        """The newest checkpoint that is not damaged, and the damaged ones by name. Changes nothing.

        Raises:
            UserError: a checkpoint has another format, or is not a checkpoint of this program.
        """
        damaged: dict[str, DamagedError] = {}
        for name in (LAST, PREVIOUS):
            path = self.path / name
            try:
                if path.exists():
                    return checkpoint.load(path), damaged
            except DamagedError as error:
                damaged[name] = error
            except ForeignError as error:
                raise UserError(
                    f"resume: {path} is not a checkpoint of this program: {error}; remove it to continue without it"
                ) from error
        return None, damaged

    def set_aside(self, names: Iterable[str]) -> None:
        """Renames damaged files to ``<name>.damaged``."""
        for name in names:
            with files.machine_errors(self.path / name):
                (self.path / name).replace(self.path / f"{name}.damaged")

    def is_complete(self, state: Checkpoint) -> bool:
        """Whether the folder has all files of a finished run whose last checkpoint is ``state``."""
        try:
            checkpoint.read(self.path / BEST)
        except (DamagedError, ForeignError):
            return False
        rows_intact = files.read(self.metrics.path, MAX_BYTES) == state["metrics"].encode()
        others = (LAST, CURVES, MODEL)
        return rows_intact and read_summary(self.path) is not None and all((self.path / o).exists() for o in others)

    def delete(self) -> None:
        """Removes the folder of a run that has trained nothing."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Closes the files and releases the lock."""
        self.metrics.close()
        self._lock.release()


def _check_entries(folder: Path) -> None:
    try:
        files.check_folder(folder)
        for entry in folder.iterdir():
            files.check_file(entry)
    except files.BadFileError as error:
        raise UserError(f"{error.filename}: {error.strerror}; a run folder has plain files only") from error
    except OSError as error:
        raise MachineError(f"cannot read {folder}: {error.strerror}") from error


def is_locked(folder: Path) -> bool:
    """True if a process is training in the run folder ``folder``.

    The lock of the system is asked for shared use, and given back at once. No file is created or written.
    """
    try:
        import fcntl

        with files.open_file(folder / ".lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except (OSError, ImportError):  # there is no lock file, or this is Windows
        return False
