"""One progress display for a whole sweep: a bar on a terminal, and a line for every job that ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tqdm import tqdm

from mnist_lite.reporting.text_layout import first_fitting, width_of, wrapped
from mnist_lite.sweeps.job import WILL_RETRY, Job, has_checkpoint, is_settled, score
from mnist_lite.sweeps.worker import Progress

FORM = "{percentage:3.0f}% [{remaining}] {desc}"
FORM_WITH_BAR = "{percentage:3.0f}%|{bar:20}| [{elapsed}<{remaining}] {desc}"
ROOM_FOR_A_BAR = 100
"""The width of a terminal from which the bar is shown."""


class ProgressDisplay:
    """Shows jobs done, running with their epoch and accuracy, and failed, and the time left."""

    def __init__(self, count: int, label: Callable[[Job], str]) -> None:
        self._label = label
        self._count, self._done, self._failed = count, 0, 0
        self._running: dict[Job, Progress] = {}
        self._bar: tqdm[NoReturn] | None = None
        if sys.stderr.isatty():
            width = width_of(sys.stderr)
            form = FORM if width is not None and width < ROOM_FOR_A_BAR else FORM_WITH_BAR
            self._bar = tqdm(
                total=count, desc=f"0/{count} jobs", bar_format=form, leave=False, mininterval=0.2, ncols=width
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
        if error is not None:
            line += f": {error}" if is_settled(job.folder, retry_failed=False) else f": {error}; {WILL_RETRY}"
        with tqdm.external_write_mode(file=sys.stdout):
            print(wrapped(line, width_of(sys.stdout)), flush=True)
        self._show()

    def interrupted(self, jobs: list[Job]) -> None:
        """Says how many of the ``jobs`` that were running when the sweep was stopped lose nothing but their last steps."""
        saved = sum(has_checkpoint(job.folder) for job in jobs)
        with tqdm.external_write_mode(file=sys.stdout):
            print(f"stopped: {saved} of {len(jobs)} running jobs can go on from a checkpoint", flush=True)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _show(self) -> None:
        if self._bar is None:
            return
        running = [
            (self._label(job), f"epoch {p.epoch}" + ("" if p.accuracy is None else f" {p.accuracy:.2f} %"))
            for job, p in self._running.items()
        ]
        failed = f", {self._failed} failed" if self._failed else ""
        meter = {**self._bar.format_dict, "prefix": "", "ncols": None}
        room = None if self._bar.ncols is None else self._bar.ncols - len(tqdm.format_meter(**meter))
        text = jobs_text(f"{self._done}/{self._count} jobs{failed}", running, room)
        self._bar.set_description_str(text, refresh=False)
        self._bar.n = self._done + self._failed + sum(p.done for p in self._running.values())
        self._bar.refresh()


def jobs_text(counts: str, running: Sequence[tuple[str, str]], width: int | None) -> str:
    """``counts``, then name and figures of the ``running`` jobs: of all that fit into ``width``, and at least of one."""
    if not running:
        return counts
    short = [(re.sub(r"[\w.]*\.(?=\w+=)", "", name), figures) for name, figures in running]  # lr=1 for optimizer.lr=1
    texts = ["; ".join([counts, *(f"{name} {figures}" for name, figures in jobs)]) for jobs in (running, short)]
    for number in range(len(short) - 1, 0, -1):
        shown = (f"{name} {figures}" for name, figures in short[:number])
        texts.append("; ".join([counts, *shown, f"{len(short) - number} more"]))
    name, figures = short[0]
    for length in range(len(name) - 1, 0, -1):
        texts.append(f"{counts}; {name[:length]}... {figures}")
    return first_fitting(texts, width)
