"""``metrics.jsonl``: reads, checks and appends the metrics of a run, one row (a JSON object) a line.

The row of a training step has the keys ``STEP_KEYS``. The row of an evaluation has the keys ``EVALUATION_KEYS`` and,
with held-out images, ``holdout/loss`` and ``holdout/accuracy``. Accuracies are in percent. ``metrics.py`` computes
statistics of rows.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

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
MAX_BYTES = 256 * files.MB


def parse_row(line: bytes) -> Row:
    """The row in a line.

    Raises:
        BadFileError: the line is not a row.
    """
    row = files.decode(line, dict[str, bool | int | float])
    if not (row.keys() >= STEP_KEYS or row.keys() >= EVALUATION_KEYS):
        raise files.BadFileError(f"{line[:60]!r} is not a row of metrics")
    return row


def parse_rows(text: str) -> list[Row]:
    """The rows in the part ``metrics`` of a checkpoint.

    Raises:
        UserError: a line is not a row.
    """
    try:
        return [parse_row(line) for line in text.encode().splitlines()]
    except files.BadFileError as error:
        raise UserError(f"resume: the checkpoint does not fit the run: {error.strerror}") from error


def read_rows(folder: Path) -> list[Row]:
    """All rows of the run in ``folder``.

    Raises:
        OSError: the file cannot be read, or a line is not a row.
    """
    return [parse_row(line) for line in files.read(folder / METRICS, MAX_BYTES).splitlines()]


def read_some_rows(folder: Path, limit: int) -> tuple[list[Row], int]:
    """At most ``limit`` evaluations and about ``limit`` training steps, and the number of all rows. The others are not parsed.

    The first evaluations are taken, and every second, third or later training step.

    Raises:
        OSError: the file cannot be read, or a line is not a row.
    """
    lines = files.read(folder / METRICS, MAX_BYTES).splitlines()
    evaluations, steps = list[int](), list[int]()
    for i, line in enumerate(lines):
        (evaluations if b'"test/accuracy"' in line else steps).append(i)
    places = evaluations[:limit] + steps[:: 1 + len(steps) // limit]
    return [parse_row(lines[i]) for i in sorted(places)], len(lines)


def read_evaluations(folder: Path) -> list[Row]:
    """The rows of the evaluations of the run in ``folder``. Rows of training steps are skipped without parsing them.

    Raises:
        OSError: the file cannot be read, or a line is not a row.
    """
    content = files.read(folder / METRICS, MAX_BYTES)
    return [parse_row(line) for line in content.splitlines() if b'"test/accuracy"' in line]


class MetricsFile:
    """``metrics.jsonl`` of a run that is open for training."""

    def __init__(self, folder: Path) -> None:
        """Opens the file of a new run. For a resumed run, call ``restore`` before ``append``.

        Raises:
            MachineError: the file cannot be written. All methods raise it.
        """
        self.path = folder / METRICS
        self._texts: list[str] = []
        self._open()

    @property
    def text(self) -> str:
        """All rows so far, as they are in the file after ``flush`` or ``sync``."""
        return "".join(self._texts)

    def append(self, rows: Iterable[Row]) -> None:
        """Adds ``rows`` at the end. They are in a buffer until ``flush``."""
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        self._texts.append(text)
        with files.machine_errors(self.path):
            self._file.write(text.encode())

    def flush(self) -> None:
        """Makes the rows visible for other processes."""
        with files.machine_errors(self.path):
            self._file.flush()

    def sync(self) -> None:
        """Writes the rows to the disk."""
        files.sync(self._file, self.path)

    def restore(self, text: str) -> None:
        """Replaces the content of the file by ``text``, the part ``metrics`` of a checkpoint."""
        self._file.close()
        files.write(self.path, text.encode())
        self._open()
        self._texts = [text]

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):  # an earlier ``append``, ``flush`` or ``sync`` has reported the error
            self._file.close()

    def _open(self) -> None:
        with files.machine_errors(self.path):
            self._file = files.open_file(self.path, "ab", buffering=1 << 16)
