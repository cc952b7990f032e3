"""One progress display for a whole sweep: a bar on a terminal, and a line for every job that ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from tqdm import tqdm

from mnist_lite.sweep.job import Job, score
from mnist_lite.sweep.worker import Progress


class Board:
    """Shows jobs done, running with their epoch and accuracy, and failed, and the time left."""

    def __init__(self, count: int, label: Callable[[Job], str]) -> None:
        self._label = label
        self._count, self._done, self._failed = count, 0, 0
        self._running: dict[Job, Progress] = {}
        self._bar: tqdm[NoReturn] | None = None
        if sys.stderr.isatty():
            self._width = width_of(sys.stderr)
            form = "{desc} {percentage:3.0f}% [{elapsed}<{remaining}] {postfix}"
            self._bar = tqdm(
                total=count, desc=f"0/{count} jobs", bar_format=form, leave=False, mininterval=0.2, ncols=self._width
            )

    def moved(self, job: Job, progress: Progress) -> None:
        """A job has come so far."""
        self._running[job] = progress
        self._show()

    def ended(self, job: Job, error: str | None, seconds: float) -> None:
        """A job is done, or has failed."""
        self._running.pop(job, None)
        self._done += error is None
        self._failed += error is not None
        accuracy = score(job.folder)
        said = "FAILED" if error is not None or accuracy is None else f"{accuracy:6.2f} %"
        said += " held out" * (job.config.data.holdout > 0 and error is None)
        line = f"[{self._done + self._failed}/{self._count}] {said}  {self._label(job)}  ({seconds:.1f} s)"
        with tqdm.external_write_mode(file=sys.stdout):
            print(line if error is None else f"{line}: {error}", flush=True)
        self._show()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _show(self) -> None:
        if self._bar is None:
            return
        parts = [
            f"{self._label(job)} epoch {p.epoch}" + ("" if p.accuracy is None else f" {p.accuracy:.2f} %")
            for job, p in self._running.items()
        ]
        failed = f", {self._failed} failed" if self._failed else ""
        self._bar.set_description_str(f"{self._done}/{self._count} jobs{failed}", refresh=False)
        self._bar.set_postfix_str("; ".join(parts), refresh=False)
        self._bar.n = self._done + self._failed + sum(p.done for p in self._running.values())
        self._bar.refresh()
