"""The jobs of a grid: each is composed when a worker wants it, or while all workers are busy."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from mnist_lite.config.schema import SweepConfig
from mnist_lite.sweeps.job import MISSING, InvalidJob, Job, is_settled, known_folders, status, without_sweep_keys
from mnist_lite.sweeps.manifest import ManifestEntry, add, manifest_entry, read_manifest

Words = tuple[str, ...]
Make = Callable[[Words], "Job | InvalidJob"]
AHEAD = 64
"""So many jobs are kept ready; a config takes 0.08 s to compose, and some memory to keep."""


class Grid:
    """A source of jobs, for the pool."""

    def __init__(
        self, wanted: Sequence[Words], make: Make, sweep: SweepConfig, conf: str, find: Callable[[], str]
    ) -> None:
        """``conf`` is a digest of the config files, ``find`` gives what ``data=auto`` is now: ``mnist`` or ``digits``.

        A job whose words are in the plan is not composed again, if both are what they were.

        Raises:
            UserError: the sweep's folder is not one.
        """
        self.stopped = False
        self.states: Counter[str] = Counter()
        """Of the jobs, before this start."""
        self.refused: list[InvalidJob] = []
        self._make, self._conf, self._fail_fast = make, conf, sweep.fail_fast
        self._folder = Path(sweep.dir).expanduser()
        self._retry_failed = sweep.retry_failed
        self._folders: dict[Words, Path] = {}
        self._counted, self._given = set[Path](), set[Path]()
        self._ready: deque[Job] = deque()
        self._queue: deque[Words] = deque()
        self._shared = set[str](wanted[0]).intersection(*wanted[1:]) if len(wanted) > 1 else set[str]()
        plan = {entry.overrides: entry for entry in read_manifest(self._folder) if entry.conf == conf}
        self._written = plan.copy()
        self._unwritten: list[ManifestEntry] = []
        begun = bool(known_folders(self._folder))
        for words in wanted:
            entry = plan.get(without_sweep_keys(words))
            if entry is not None and entry.folder is not None and entry.found in (None, find()):
                self._count(words, self._folder / entry.folder)
            elif begun:  # by other words, or other config files: only its config tells whether it is done
                made = self._made(words)
                if made is not None:
                    self._count(words, made.folder)
            else:
                self.states[MISSING] += 1
                self._queue.append(words)

    @property
    def count(self) -> int:
        """Jobs that are to be run, as far as they are known."""
        return len(self._queue) + len(self._ready)

    def label(self, job: Job | InvalidJob) -> str:
        """What the job has that not all have."""
        return ",".join(word for word in job.overrides if word not in self._shared) or "the only job"

    def next_job(self) -> Job | None:
        """The next job; None: there is none left."""
        while not self._ready and self._queue:
            self._prepare()
        return self._ready.popleft() if self._ready else None

    def prepare_next(self) -> bool:
        """Composes one more job; False: there is no need to."""
        if not self._queue or len(self._ready) >= AHEAD:
            return False
        self._prepare()
        return True

    def ended(self, job: Job, error: str | None) -> None:
        """A job runs no more. A grid learns nothing from it."""

    def job_folder(self, words: Words) -> Path | None:
        """Where the job of ``words`` lives; None: it was refused, or the sweep has not come to it."""
        return self._folders.get(words)

    def _prepare(self) -> None:
        made = self._made(self._queue.popleft())
        if made is not None and made.folder not in self._given and not is_settled(made.folder, self._retry_failed):
            self._given.add(made.folder)
            self._ready.append(made)

    def _made(self, words: Words) -> Job | None:
        made = self._make(words)
        if isinstance(made, InvalidJob):
            print(f"error: job {self.label(made)}: {made.error}", file=sys.stderr, flush=True)
            self.refused.append(made)
            self.stopped = self.stopped or self._fail_fast
        else:
            self._folders[words] = made.folder
        entry = manifest_entry(made, self._conf)
        if self._written.get(entry.overrides) != entry:
            self._written[entry.overrides] = entry
            self._unwritten.append(entry)
        if isinstance(made, InvalidJob):
            return None  # and a sweep that has nothing but refusals leaves nothing behind
        if self._unwritten:
            add(self._folder, self._unwritten)
            self._unwritten = []
        return made

    def _count(self, words: Words, folder: Path) -> None:
        """Each job once, by however many words it is asked for."""
        self._folders[words] = folder
        if folder in self._counted:
            return
        self._counted.add(folder)
        self.states[status(folder)] += 1
        if not is_settled(folder, self._retry_failed):
            self._queue.append(words)
