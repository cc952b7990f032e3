"""The folder of one run: claimed by one process, written so that no file is ever half there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from mnist_lite.errors import UserError

LONGEST_NAME = 180


class RunFolder:
    """``runs/<time>_<name>/`` and its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._metrics = (path / "metrics.jsonl").open("a", encoding="utf-8")

    @classmethod
    def claim(cls, root: Path, name: str) -> RunFolder:
        """A new folder that no other run has or will get: ``mkdir`` fails if it exists, and the next number is tried.

        Raises:
            UserError: the folder cannot be made.
        """
        stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{re.sub(r'[^A-Za-z0-9.+=-]+', '_', name) or 'run'}"[:LONGEST_NAME]
        number = 1
        try:
            root.mkdir(parents=True, exist_ok=True)
            while True:
                path = root / (stem if number == 1 else f"{stem}_{number}")
                try:
                    path.mkdir()
                    return cls(path)
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise UserError(f"runs_dir: cannot make a run folder in {root}: {error.strerror}") from error

    def add_rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Appends to ``metrics.jsonl``, one object a line."""
        self._metrics.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)

    def flush(self) -> None:
        """Makes the rows so far visible to readers."""
        self._metrics.flush()

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, whole or not at all."""
        self._replace(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Writes a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Writes a checkpoint that ``torch.load(..., weights_only=True)`` reads, whole or not at all."""
        self._replace(name, lambda path: torch.save(state, path))

    def close(self) -> None:
        """Ends the writing of metrics."""
        self._metrics.close()

    def _replace(self, name: str, write: Callable[[Path], object]) -> None:
        temporary = self.path / f".{name}.tmp"
        write(temporary)
        temporary.replace(self.path / name)
