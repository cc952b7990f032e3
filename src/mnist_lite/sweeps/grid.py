"""A grid: a source of jobs with all combinations of the values on the command line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mnist_lite.config.overrides import key_of
from mnist_lite.config.schema import SweepConfig
from mnist_lite.errors import UserError
from mnist_lite.sweeps.job import Job, Overrides, known_folders, without_sweep_keys
from mnist_lite.sweeps.job_status import MISSING, is_skipped, status
from mnist_lite.sweeps.manifest import MANIFEST, ManifestEntry, add_entries, manifest_entry, read_manifest
from mnist_lite.sweeps.source import JobMaker, JobSource


class Grid(JobSource):
    """The jobs of a grid. Jobs that are done are left out."""

    is_adaptive = False

    def __init__(
        self,
        wanted: Sequence[Overrides],
        make: JobMaker,
        sweep: SweepConfig,
        config_digest: str,
        auto_data: Callable[[], str],
    ) -> None:
        """``auto_data`` returns what ``data=auto`` is now: ``mnist`` or ``digits``. ``config_digest`` is of the config files.

        If neither has changed, the manifest has the folders of its jobs, and these jobs are not composed to find them.

        Raises:
            UserError: the manifest cannot be read, or ``wanted`` has several names.
        """
        common = set(wanted[0]).intersection(*wanted[1:]) if len(wanted) > 1 else set()
        if len(wanted) > 1 and any(key_of(each) == "name" for one in wanted for each in one if each not in common):
            raise UserError("name: jobs that differ only in their name are the same job, so a sweep cannot vary it")
        super().__init__(common, make, sweep)
        self._config_digest = config_digest
        self.folders: dict[Overrides, Path] = {}
        """The folders of the jobs that are valid, as far as they are known."""
        self._queue = deque[Overrides]()
        entries = read_manifest(self._folder)
        self._written = {entry.overrides: entry for entry in entries if entry.config_digest == config_digest}
        self._unwritten: list[ManifestEntry] = []
        is_new = not known_folders(self._folder)
        seen = set[Path]()  # several overrides may describe the same job
        for overrides in wanted:
            entry = self._written.get(without_sweep_keys(overrides))
            if entry and entry.folder and entry.auto_data in (None, auto_data()):
                self.folders[overrides] = self._folder / entry.folder
            elif not is_new and not self._compose(overrides):  # only its config tells whether it is done
                continue
            folder = self.folders.get(overrides)
            if folder is None:  # nothing has run yet
                self.states[MISSING] += 1
                self._queue.append(overrides)
            elif folder not in seen:
                seen.add(folder)
                self.states[status(folder)] += 1
                if not is_skipped(folder, sweep.retry_failed):
                    self._queue.append(overrides)

    @property
    def count(self) -> int:
        """The number of jobs that are still to be run, as far as they are known."""
        return len(self._queue)

    def jobs(self) -> Iterator[Job]:
        """The jobs that are still to be run. Each is composed when it is asked for."""
        given = set[Path]()
        while self._queue and not self.stopped:
            job = self._compose(self._queue.popleft())
            if job and job.folder not in given and not is_skipped(job.folder, self._sweep.retry_failed):
                given.add(job.folder)
                yield job

    def _compose(self, overrides: Overrides) -> Job | None:
        """Composes a job and writes it into the manifest. None: its config is invalid."""
        job = self._make(overrides)
        entry = manifest_entry(job, self._config_digest)
        if self._written.get(entry.overrides) != entry:
            self._written[entry.overrides] = entry
            self._unwritten.append(entry)
        is_begun = isinstance(job, Job) or (self._folder / MANIFEST).exists()
        if self._unwritten and is_begun:  # a sweep that has only invalid jobs writes nothing
            add_entries(self._folder, self._unwritten)
            self._unwritten = []
        if not isinstance(job, Job):
            self._reject(job)
            return None
        self.folders[overrides] = job.folder
        return job
