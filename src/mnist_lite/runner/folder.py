"""The folder of one run: claimed by one process, written so that a kill at any moment leaves it good to go on from."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mnist_lite import files
from mnist_lite.errors import MachineError, RunError, UserError
from mnist_lite.runner import checkpoint
from mnist_lite.runner.metrics import METRICS, read_summary

STATE, STATE_BEFORE, BEST = "last.pt", "previous.pt", "best.pt"
CONFIG, CURVES = "config.yaml", "curves.png"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderInUseError(UserError):
    """Another process is at work in a run folder."""


class RunFolder:
    """``runs/<time>_<name>/`` and its files, locked while this object lives: a lock of the system, gone with the process."""

    def __init__(self, path: Path) -> None:
        """``path`` is there already.

        Raises:
            TakenError: another process has it.
        """
        self.path = path
        self._lock = FileLock(path / ".lock", thread_local=False)
        with files.explained(path / ".lock"):
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise FolderInUseError(f"resume: {path} is being trained by another process") from error
        with files.explained(path / METRICS):
            self._metrics = (path / METRICS).open("ab", buffering=1 << 16)
        self._size = self._metrics.tell()
        self._digest = hashlib.sha256()
        self._bad: list[Path] = []
        self.altered = False
        """Whether the checkpoint of ``latest`` is good and the rows in ``metrics.jsonl`` are not those that it knows of."""

    @classmethod
    def create(cls, root: Path, name: str) -> RunFolder:
        """A new folder that no other run has or will get: ``mkdir`` fails if it exists, and the next number is tried.

        Raises:
            UserError: the folder cannot be made.
            RunError: the disk is full.
        """
        stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{files.slug(name) or 'run'}"
        number = 1
        try:
            root.mkdir(parents=True, exist_ok=True)
            while True:
                path = root / (stem if number == 1 else f"{stem}_{number}")
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    number += 1
        except OSError as error:
            kind = MachineError if error.errno in FULL else UserError
            raise kind(f"runs_dir: cannot make a run folder in {root}: {error.strerror}") from error
        try:
            return cls(path)
        except RunError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    @classmethod
    def create_at(cls, path: Path) -> RunFolder:
        """The folder ``path`` for a run that has not begun: made, or as a process left it that was killed before its first file.

        Raises:
            TakenError: another process has it, or has begun the run meanwhile.
            MachineError: it cannot be made.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(f"sweep.dir: cannot make {path}: {error.strerror}") from error
        folder = cls(path)
        if (path / CONFIG).exists():
            folder.close()
            raise FolderInUseError(f"sweep.dir: the run in {path} has been begun by another process")
        with files.explained(path):
            files.remove_leftovers(path)
        return folder

    @classmethod
    def open_existing(cls, path: Path) -> RunFolder:
        """The folder of a run to go on with.

        Raises:
            UserError: it is not a run folder, has what could lead our writing elsewhere, or another process has it.
        """
        if not (path / CONFIG).is_file():
            raise UserError(f"resume: {path} is not a run folder: it has no {CONFIG}")
        for entry in path.iterdir():
            if entry.is_symlink() or not entry.is_file():
                raise UserError(f"resume: {entry} is not a plain file; a run folder has nothing else")
        folder = cls(path)
        with files.explained(path):
            files.remove_leftovers(path)
        return folder

    def add_rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Appends to ``metrics.jsonl``, one object a line."""
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
        self._size += len(text)
        self._digest.update(text)
        with files.explained(self.path / METRICS):
            self._metrics.write(text)

    def flush(self) -> None:
        """Makes the rows so far visible to readers."""
        with files.explained(self.path / METRICS):
            self._metrics.flush()

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, whole or not at all."""
        files.write(self.path / name, text.encode())

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Writes a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes a binary file, whole or not at all."""
        files.write(self.path / name, content)

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        with files.explained(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def save(self, state: dict[str, Any]) -> None:
        """Makes ``state`` the checkpoint to go on from. The one before stays, as ``previous.pt``, until the next.

        The rows so far are made durable first, and the checkpoint knows how far they reach and their checksum.
        """
        files.sync(self._metrics, self.path / METRICS)
        rows = {"bytes": self._size, "sha256": self._digest.hexdigest()}
        files.write(self.path / STATE, checkpoint.pack({**state, "metrics": rows}), keep=self.path / STATE_BEFORE)

    def save_best(self, state: dict[str, Any]) -> None:
        """Writes ``best.pt``."""
        files.write(self.path / BEST, checkpoint.pack(state))

    def latest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The checkpoint to continue from (None if there is no good one), and a complaint for each problem. Changes nothing.

        A checkpoint is good when its checksum is right. Of two good ones the first counts whose rows are still in
        ``metrics.jsonl``: rows that are missing after it will be made again. If the rows of neither are there, it is the newer
        one, and ``altered`` is true.

        Raises:
            UserError: a checkpoint holds what no checkpoint of this program holds.
        """
        complaints: list[str] = []
        self._bad, self.altered = [], False
        newest: dict[str, Any] | None = None
        for name in (STATE, STATE_BEFORE):
            path = self.path / name
            if not path.exists():
                continue
            try:
                state = checkpoint.read(path)
                problem = self._problem_of_rows(state)
            except checkpoint.ForeignError as error:
                raise UserError(
                    f"resume: {path} is not a checkpoint of this program: {error}; remove it to go on without it"
                ) from error
            except checkpoint.DamagedError as error:
                complaints.append(f"{path} cannot be used: {error}. It is kept under the name {name}.damaged.")
                self._bad.append(path)
                continue
            if problem is None:
                return state, complaints
            complaints.append(f"{path} is good, but {problem}.")
            newest = newest or state
        self.altered = newest is not None
        return newest, complaints

    def finished(self) -> bool:
        """Whether a run has come to its end here and all its files are good."""
        try:
            checkpoint.read(self.path / BEST)
        except (OSError, checkpoint.DamagedError, checkpoint.ForeignError):
            return False
        whole = read_summary(self.path) is not None
        return whole and all((self.path / name).exists() for name in (STATE, CURVES, "model.txt"))

    def rewind(self, state: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Cuts ``metrics.jsonl`` to the rows that belong to ``state`` (None: to no rows) and returns them.

        Checkpoints that are not good are renamed to ``<name>.damaged``. If the rows were ``altered``, the old file is kept
        under such a name, and the rows up to the step of ``state`` that can still be read are kept.

        Raises:
            UserError: ``metrics.jsonl`` is not a file of this program.
        """
        for bad in self._bad:
            with files.explained(bad):
                bad.replace(bad.with_name(f"{bad.name}.damaged"))
        path = self.path / METRICS
        if state is not None and self.altered:
            return self._rewrite(int(state["step"]))
        size = 0 if state is None else int(state["metrics"]["bytes"])
        with files.explained(path):
            self._metrics.truncate(size)
            content = path.read_bytes()
        files.sync(self._metrics, path)
        self._size, self._digest = size, hashlib.sha256(content)
        try:
            return [_row(json.loads(line)) for line in content.splitlines()]
        except ValueError as error:
            raise UserError(f"resume: {path} is not what this program writes: {error}") from error

    def _rewrite(self, last_step: int) -> list[dict[str, Any]]:
        """Writes ``metrics.jsonl`` anew from the rows in it that can be read, are in order, and are not after ``last_step``."""
        path, rows, content = self.path / METRICS, list[dict[str, Any]](), b""
        with files.explained(path):
            original = path.read_bytes()
        files.write(path.with_name(f"{METRICS}.damaged"), original)  # a copy: a kill here must not lose the rows
        for line in original.splitlines():
            with contextlib.suppress(ValueError):
                row = _row(json.loads(line))
                before = int(rows[-1]["step"]) if rows else 0
                # the row of an evaluation has the step of the training row before it
                if before <= row["step"] <= last_step and ("train/loss" not in row or row["step"] > before):
                    rows.append(row)
                    content += line + b"\n"
        files.write(path, content)
        self._metrics.close()
        with files.explained(path):
            self._metrics = path.open("ab", buffering=1 << 16)
        self._size, self._digest = len(content), hashlib.sha256(content)
        return rows

    def delete(self) -> None:
        """Removes the folder: nothing has been trained yet."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Ends the writing of metrics and gives the folder free."""
        with contextlib.suppress(OSError):  # what could not be written has been reported where it was missed
            self._metrics.close()
        self._lock.release()

    def _problem_of_rows(self, state: dict[str, Any]) -> str | None:
        """What is wrong with the rows in ``metrics.jsonl`` that belong to ``state``; None: nothing."""
        known = state.get("metrics")
        size = known.get("bytes") if isinstance(known, dict) else None
        if not isinstance(known, dict) or type(size) is not int or size < 0:
            raise checkpoint.ForeignError("it does not say which rows of metrics.jsonl belong to it")
        try:
            content = (self.path / METRICS).read_bytes()[:size]
        except OSError as error:
            return f"metrics.jsonl cannot be read: {error.strerror}"
        if len(content) < size or hashlib.sha256(content).hexdigest() != known.get("sha256"):
            return "rows of metrics.jsonl that belong to it are missing or were changed"
        return None


def _row(value: Any) -> dict[str, Any]:
    numbers = isinstance(value, dict) and all(isinstance(figure, (bool, int, float)) for figure in value.values())
    if not numbers or not {"step", "epoch", "lr"} <= set(value):
        raise ValueError(f"{str(value)[:60]} is not a row of figures")
    return dict(value)
