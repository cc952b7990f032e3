"""What a user sees while a run goes on: a progress bar on a terminal, plain lines elsewhere; a copy of the lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TextIO

from tqdm import tqdm

from mnist_lite.errors import MachineError, RunError
from mnist_lite.reporting.text_layout import first_fitting, width_of, wrapped

FRAME = 100
"""The width of the frame of a warning, where the terminal is as wide."""


class Console:
    """Prints lines to standard output and to ``run.log``, and keeps a bar below them when there is a terminal.

    With ``tell``, which gets the part that is done, the epoch and the last test accuracy, it prints nothing: one run of many.
    """

    def __init__(self, tell: Callable[[float, int, float | None], None] | None = None) -> None:
        self.failure: RunError | None = None
        """What the run ended with, if it did not reach its end."""
        self._tell = tell
        self._accuracy: float | None = None
        self._epochs = self._steps = 1
        self._log: TextIO | None = None
        self._before: list[str] = []
        self._bar: tqdm[NoReturn] | None = None
        self._epoch, self._epoch_start = 0, 0

    def log_to(self, path: Path) -> None:
        """From now on lines are kept in ``path`` too, those printed so far included."""
        try:
            self._log = path.open("a", encoding="utf-8")
        except OSError as error:
            raise MachineError(f"cannot write {path}: {error.strerror}") from error
        for text in self._before:
            self._write(text)
        self._before = []

    def line(self, text: str | Callable[[int | None], str] = "") -> None:
        """A line, or several: a text, which is broken into the width of the terminal, or what makes one for a given width.

        The log gets it in full (width None).
        """
        make = text if callable(text) else partial(wrapped, text)
        if self._tell is None:
            with tqdm.external_write_mode(file=sys.stdout):
                print(make(width_of(sys.stdout)), flush=True)
        self.note(make(None))

    def warn(self, text: str) -> None:
        """A warning that cannot be missed, on standard error."""
        if self._tell is None:
            with tqdm.external_write_mode(file=sys.stderr):
                print(_framed(text, width_of(sys.stderr)), file=sys.stderr, flush=True)
        self.note(_framed(text, None))

    def error(self, failure: RunError) -> None:
        """The one line that says why the run ends, on standard error."""
        self.failure, text = failure, str(failure)
        if self._tell is None:
            with tqdm.external_write_mode(file=sys.stderr):
                print(f"error: {text}", file=sys.stderr, flush=True)
        with contextlib.suppress(RunError):  # a full disk is such a reason
            self.note(f"error: {text}")

    def note(self, text: str) -> None:
        """For the log only."""
        if self._log is None:
            self._before.append(text)
        else:
            self._write(text)

    def start_epoch(self, epoch: int, epochs: int, steps: int) -> None:
        """A new bar for the ``steps`` of an epoch; epochs count from 1."""
        self.end_epoch()
        self._epoch, self._epochs, self._steps = epoch, epochs, steps
        self._epoch_start = (epoch - 1) * steps
        if self._tell is None and sys.stderr.isatty():
            width = width_of(sys.stderr)
            meter = {"n": 0, "total": steps, "elapsed": 0.0, "unit": "step"}
            form = bar_format(epoch, epochs, None, meter, width)
            self._bar = tqdm(total=steps, unit="step", leave=False, mininterval=0.2, ncols=width, bar_format=form)

    def show(self, step: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Moves the bar to ``step`` of the run; ``rows`` are the training rows that have arrived since, possibly none."""
        if self._tell is not None:
            self._tell(step / (self._epochs * self._steps), self._epoch, self._accuracy)
        if self._bar is None:
            return
        if rows:
            self._bar.bar_format = bar_format(
                self._epoch, self._epochs, rows[-1], self._bar.format_dict, self._bar.ncols
            )
        self._bar.update(step - self._epoch_start - self._bar.n)

    def evaluated(self, accuracy: float) -> None:
        """The test accuracy in percent has become known."""
        self._accuracy = accuracy

    def end_epoch(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Ends bar and log."""
        self.end_epoch()
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.close()
            self._log = None

    def _write(self, text: str) -> None:
        assert self._log is not None
        stamp = time.strftime("%H:%M:%S")
        try:
            self._log.writelines(f"{stamp} {line}\n" for line in text.splitlines() or [""])
            self._log.flush()
        except OSError as error:
            log, self._log = self._log, None  # what follows has no place to go, and no need to fail again
            with contextlib.suppress(OSError):
                log.close()
            raise MachineError(f"cannot write {log.name}: {error.strerror}") from error


def bar_format(
    epoch: int, epochs: int, row: Mapping[str, float] | None, meter: Mapping[str, Any], width: int | None
) -> str:
    """tqdm's ``bar_format`` for the figures of ``row``: the longest of some that fits into ``width``.

    ``meter`` is tqdm's ``format_dict``. Accuracy and learning rate are in all of them.
    """
    number = f"{epoch:{len(str(epochs))}d}/{epochs}"
    long = short = ""
    if row is not None:
        loss, accuracy, lr = f"{row['train/loss']:.3f}", f"{row['train/accuracy']:.1f}", f"{row['lr']:.2g}"
        long, short = f" loss {loss}, accuracy {accuracy} %, lr {lr}", f" loss {loss} acc {accuracy} % lr {lr}"
    percent = "{percentage:3.0f}%"
    formats = [
        f"epoch {number}: {percent}|{{bar}}| {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{{remaining}}, {{rate_fmt}}]{long}",
        f"epoch {number}: {percent}|{{bar}}| [{{elapsed}}<{{remaining}}]{long}",
        f"epoch {number}: {percent}|{{bar}}|{short}",
        f"{number}: {percent}{short}",
    ]
    measured = [tqdm.format_meter(**{**meter, "ncols": None, "bar_format": form}) for form in formats]
    return formats[measured.index(first_fitting(measured, width))]


def _framed(text: str, width: int | None) -> str:
    rule = "!" * min(width or FRAME, FRAME)
    return f"{rule}\n{wrapped(text, width)}\n{rule}"
