"""The terminal output of a run: lines, warnings, and a progress bar on a terminal. A copy of the lines goes to ``run.log``.

The console only prints. It decides nothing, and it holds no result of the run.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, TextIO

from tqdm import tqdm

from mnist_lite import files
from mnist_lite.errors import printable
from mnist_lite.reporting.progress_text import bar_format, bar_postfix
from mnist_lite.reporting.text_layout import width_of, wrapped

FRAME = 100
"""The width of the frame around a warning, if the terminal is as wide."""


class Console:
    """Prints lines to standard output and to ``run.log``. Below the lines there is a bar, if standard error is a terminal."""

    def __init__(self, on_progress: Callable[[float, int, float | None], None] | None = None) -> None:
        """With ``on_progress`` nothing is printed: the run is one of many.

        ``on_progress`` is called after each step, with the fraction of the run that is done, the epoch, and the last
        test accuracy.
        """
        self._on_progress = on_progress
        self._accuracy: float | None = None
        self._epochs = self._steps = 1
        self._log: TextIO | None = None
        self._unlogged: list[str] = []
        self._bar: tqdm[NoReturn] | None = None
        self._epoch = 0

    def log_to(self, path: Path) -> None:
        """Appends all lines to the file ``path`` from now on, after the lines that were printed before.

        Raises:
            MachineError: the file cannot be written. ``line``, ``warn`` and ``log`` raise it, too.
        """
        with files.machine_errors(path):
            self._log = io.TextIOWrapper(files.open_file(path, "ab"), encoding="utf-8")
        for text in self._unlogged:
            self._write(text)
        self._unlogged = []

    def line(self, text: str | Callable[[int | None], str] = "") -> None:
        """Prints one or more lines: a text, or a function that makes the text for a width. The log has no width limit.

        What is not printable is escaped, here and in the methods below.
        """
        make = text if callable(text) else partial(wrapped, text)
        self._print(make, sys.stdout)
        self.log(make(None))

    def warn(self, text: str) -> None:
        """Prints a warning in a frame to standard error."""
        make = partial(_framed, text)
        self._print(make, sys.stderr)
        self.log(make(None))

    def log(self, text: str) -> None:
        """Writes lines to the log only."""
        if self._log is None:
            self._unlogged.append(text)
        else:
            self._write(text)

    def start_epoch(self, epoch: int, epochs: int, steps: int) -> None:
        """Starts the bar of an epoch of ``steps`` steps. The first epoch is 1."""
        self.end_epoch()
        self._epoch, self._epochs, self._steps = epoch, epochs, steps
        if self._on_progress is None and sys.stderr.isatty():
            width = width_of(sys.stderr)
            title = f"epoch {epoch:{len(str(epochs))}d}/{epochs}"
            self._bar = tqdm(
                desc=title, total=steps, leave=False, mininterval=0.2, ncols=width, bar_format=bar_format(width)
            )

    def show_step(self, step: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Moves the bar to ``step`` of the run. ``rows`` are the rows that are new, possibly none."""
        for row in rows:
            if "test/accuracy" in row:
                self._accuracy = row["test/accuracy"]
            elif self._bar is not None:
                self._bar.set_postfix_str(bar_postfix(row, self._bar.ncols), refresh=False)
        if self._on_progress is not None:
            self._on_progress(step / (self._epochs * self._steps), self._epoch, self._accuracy)
        if self._bar is not None:
            self._bar.update(step - (self._epoch - 1) * self._steps - self._bar.n)

    def end_epoch(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Removes the bar and closes the log."""
        self.end_epoch()
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.close()
            self._log = None

    def _print(self, make: Callable[[int | None], str], stream: TextIO) -> None:
        if self._on_progress is None:
            with tqdm.external_write_mode(file=stream):
                print(printable(make(width_of(stream))), file=stream, flush=True)

    def _write(self, text: str) -> None:
        assert self._log is not None
        stamp = time.strftime("%H:%M:%S")
        with files.machine_errors(Path(self._log.name)):
            self._log.writelines(f"{stamp} {line}\n" for line in printable(text).splitlines() or [""])
            self._log.flush()


def _framed(text: str, width: int | None) -> str:
    rule = "!" * min(width or FRAME, FRAME)
    return f"{rule}\n{wrapped(text, width)}\n{rule}"
