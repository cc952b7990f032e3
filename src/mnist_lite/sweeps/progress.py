"""The progress of a sweep on the terminal: one bar for the whole sweep, and a line for every job that ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tqdm import tqdm

from mnist_lite.errors import printable
from mnist_lite.reporting.text_layout import first_fitting, width_of, wrapped
from mnist_lite.sweeps.job import Job, Progress
from mnist_lite.sweeps.job_status import WILL_RETRY, has_checkpoint, is_skipped, score

FORMAT = "{percentage:3.0f}% [{remaining}] {desc}"
FORMAT_WITH_BAR = "{percentage:3.0f}%|{bar:20}| [{elapsed}<{remaining}] {desc}"
MIN_WIDTH_FOR_BAR = 100
"""Narrower terminals show numbers only."""
KEY_PREFIX = re.compile(r"[\w.]*\.(?=\w+=)")
"""The part of a key that a short label leaves out: ``lr=1`` for ``optimizer.lr=1``."""


class ProgressDisplay:
    """Shows the number of jobs that are done and failed, the time left, and epoch and accuracy of running jobs."""

    def __init__(self, count: int, label: Callable[[Job], str]) -> None:
        self._label = label
        self._count, self._done, self._failed = count, 0, 0
        self._running: dict[Job, Progress] = {}
        self._bar: tqdm[NoReturn] | None = None
        if sys.stderr.isatty():
            width = width_of(sys.stderr)
            form = FORMAT if width is not None and width < MIN_WIDTH_FOR_BAR else FORMAT_WITH_BAR
            self._bar = tqdm(
                total=count, desc=f"0/{count} jobs", bar_format=form, leave=False, mininterval=0.2, ncols=width
            )

    def moved(self, job: Job, progress: Progress) -> None:
        """Updates the bar with the progress of a job."""
        self._running[job] = progress
        self._show()

    def ended(self, job: Job, error: str | None, seconds: float) -> None:
        """Prints a line for a job that is done or has failed."""
        self._running.pop(job, None)
        self._done += error is None
        self._failed += error is not None
        accuracy = score(job.folder)
        result = "FAILED"
        if error is None and accuracy is not None:
            result = f"{accuracy:6.2f} %" + (" held out" if job.config.data.holdout else "")
        line = f"[{self._done + self._failed}/{self._count}] {result}  {self._label(job)}  ({seconds:.1f} s)"
        if error is not None:
            line += f": {error}" if is_skipped(job.folder, retry_failed=False) else f": {error}; {WILL_RETRY}"
        self._print(line)
        self._show()

    def interrupted(self, jobs: list[Job]) -> None:
        """Prints how many of ``jobs``, which were running when the sweep was stopped, have a checkpoint."""
        saved = sum(has_checkpoint(job.folder) for job in jobs)
        self._print(f"stopped: {saved} of {len(jobs)} running jobs can continue from a checkpoint")

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()

    def _print(self, line: str) -> None:
        with tqdm.external_write_mode(file=sys.stdout):
            print(wrapped(line, width_of(sys.stdout)), flush=True)

    def _show(self) -> None:
        if self._bar is None:
            return
        running = [
            (printable(self._label(job)), f"epoch {p.epoch}" + ("" if p.accuracy is None else f" {p.accuracy:.2f} %"))
            for job, p in self._running.items()
        ]
        failed = f", {self._failed} failed" if self._failed else ""
        meter = {**self._bar.format_dict, "prefix": "", "ncols": None}
        room = None if self._bar.ncols is None else self._bar.ncols - len(tqdm.format_meter(**meter))
        text = describe_progress(f"{self._done}/{self._count} jobs{failed}", running, room)
        self._bar.set_description_str(text, refresh=False)
        self._bar.n = self._done + self._failed + sum(p.fraction for p in self._running.values())
        self._bar.refresh()


def describe_progress(counts: str, running: Sequence[tuple[str, str]], width: int | None) -> str:
    """``counts``, and the ``running`` jobs (label and progress) as far as they fit into ``width``, at least the first one."""
    if not running:
        return counts
    short = [(KEY_PREFIX.sub("", label), progress) for label, progress in running]
    texts = ["; ".join([counts, *map(" ".join, jobs)]) for jobs in (running, short)]
    for n in range(len(short) - 1, 0, -1):
        texts.append("; ".join([counts, *map(" ".join, short[:n]), f"{len(short) - n} more"]))
    label, progress = short[0]
    texts += [f"{counts}; {label[:length]}... {progress}" for length in range(len(label) - 1, 0, -1)]
    return first_fitting(texts, width)
