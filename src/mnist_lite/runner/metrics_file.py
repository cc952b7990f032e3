"""``metrics.jsonl``: reads, checks and appends the metrics of a run, one row (a JSON object) a line.

The row of a training step has the keys ``STEP_KEYS``. The row of an evaluation has the keys ``EVALUATION_KEYS`` and,
with held-out images, ``holdout/loss`` and ``holdout/accuracy``. Accuracies are in percent. ``metrics.py`` computes
statistics of rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import msgspec

from mnist_lite import files
from mnist_lite.errors import UserError

if TYPE_CHECKING:  # it imports torch
    from mnist_lite.training.step_metrics import Row

METRICS = "metrics.jsonl"
STEP_KEYS = {"step", "epoch", "lr", "train/loss", "train/accuracy"}
EVALUATION_KEYS = {
    *("step", "epoch", "epoch_end", "lr", "train/epoch_loss", "train/epoch_accuracy", "test/loss", "test/accuracy"),
    *("seconds/train", "seconds/eval"),
}
_DECODER = msgspec.json.Decoder(dict[str, bool | int | float])


class Position(TypedDict):
    """A place in ``metrics.jsonl``, and the SHA-256 of all bytes before it."""

    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str


def parse_row(line: bytes) -> Row:
    """The row in a line.

    Raises:
        ValueError: the line is not a row.
    """
    row = _DECODER.decode(line)
    if not (row.keys() >= STEP_KEYS or row.keys() >= EVALUATION_KEYS):
        raise ValueError(f"{line[:60]!r} is not a row of metrics")
    return row


def read_evaluations(folder: Path) -> list[Row]:
    """The rows of the evaluations of the run in ``folder``. Rows of training steps are skipped without parsing them.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not a row.
    """
    with (folder / METRICS).open("rb") as file:
        return [parse_row(line) for line in file if b'"test/accuracy"' in line]


class MetricsFile:
    """``metrics.jsonl`` of a run that is open for training."""

    def __init__(self, folder: Path) -> None:
        """Opens the file of a new run. For a resumed run, call ``truncate`` or ``salvage`` before ``append``.

        Raises:
            MachineError: the file cannot be written. All methods raise it.
        """
        self.path = folder / METRICS
        self._size, self._digest = 0, hashlib.sha256()
        self._open()

    def append(self, rows: Iterable[Row]) -> None:
        """Adds ``rows`` at the end. They are on the disk after ``flush`` or ``sync``."""
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
        self._size += len(text)
        self._digest.update(text)
        with files.machine_errors(self.path):
            self._file.write(text)

    def flush(self) -> None:
        """Makes the rows visible for other processes."""
        with files.machine_errors(self.path):
            self._file.flush()

    def sync(self) -> Position:
        """Writes the rows to the disk. Returns the end of the file."""
        files.sync(self._file, self.path)
        return {"bytes": self._size, "sha256": self._digest.hexdigest()}

    def problem(self, position: Position) -> str | None:
        """What is wrong with the rows before ``position``. None: they are unchanged."""
        try:
            content = self.path.read_bytes()[: position["bytes"]]
        except OSError as error:
            return f"{METRICS} cannot be read: {error.strerror}"
        if len(content) < position["bytes"] or hashlib.sha256(content).hexdigest() != position["sha256"]:
            return f"rows of {METRICS} that belong to it are missing or were changed"
        return None

    def truncate(self, size: int) -> list[Row]:
        """Removes all bytes after the first ``size`` bytes. Returns the rows that are left.

        Raises:
            UserError: the rest is not rows.
        """
        with files.machine_errors(self.path):
            self._file.truncate(size)
            content = self.path.read_bytes()
        files.sync(self._file, self.path)
        self._size, self._digest = size, hashlib.sha256(content)
        try:
            return [parse_row(line) for line in content.splitlines()]
        except ValueError as error:
            raise UserError(f"resume: {self.path} is not what this program writes: {error}") from error

    def salvage(self, last_step: int) -> list[Row]:
        """Keeps the lines that are rows, are in order, and are not after ``last_step``. Returns their rows.

        The old file stays as ``metrics.jsonl.damaged``.
        """
        rows: list[Row] = []
        content = b""
        with files.machine_errors(self.path):
            original = self.path.read_bytes()
        files.write(self.path.with_name(f"{METRICS}.damaged"), original)  # a copy: a kill must not lose rows
        for line in original.splitlines():
            with contextlib.suppress(ValueError):
                row = parse_row(line)
                last = rows[-1]["step"] if rows else 0
                # an evaluation has the step of the training row before it
                if last <= row["step"] <= last_step and ("train/loss" not in row or row["step"] > last):
                    rows.append(row)
                    content += line + b"\n"
        files.write(self.path, content)
        self._file.close()
        self._open()
        self._size, self._digest = len(content), hashlib.sha256(content)
        return rows

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):  # an earlier ``append``, ``flush`` or ``sync`` has reported the error
            self._file.close()

    def _open(self) -> None:
        with files.machine_errors(self.path):
            self._file = self.path.open("ab", buffering=1 << 16)
