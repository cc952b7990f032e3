"""``jobs.jsonl``: the list of the jobs of a sweep, one JSON object a line.

A job is added when its config is composed. Jobs are never removed, so the list covers all starts of the sweep.
It does not say which jobs are done: see ``job_status.py``.

| format | differences |
|---|---|
| 1 | no key ``format`` |
| 2 | ``format`` is in each line |

``read_manifest`` reads all formats, forever: tests/sweeps/formats/ has a sweep of each old format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Annotated

import msgspec

from mnist_lite import files
from mnist_lite.errors import UserError
from mnist_lite.runner.identity import identity
from mnist_lite.sweeps.job import InvalidJob, Job, Overrides

MANIFEST = "jobs.jsonl"
STUDY = "study.log"
"""Optuna's journal. It exists only for searches."""
FORMAT = 2
FOLDER_NAME = r"^(?!\.{1,2}$)[^/\0]+$"
"""The name of a folder in the folder of the sweep, and not a path that leads out of it."""
MAX_BYTES = 64 * files.MB
REMEDY = "If you remove the file, the command that made the sweep finds all its jobs again."


class ManifestEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of ``jobs.jsonl``."""

    overrides: Overrides
    folder: Annotated[str, msgspec.Meta(pattern=FOLDER_NAME, max_length=255)] | None = None
    """The name of the job's folder in the folder of the sweep. None: the config is invalid."""
    error: str | None = None
    """What is wrong with the config."""
    config_digest: str | None = msgspec.field(default=None, name="conf")
    """A digest of the config files that the job was composed from."""
    group: str | None = None
    """Equal for jobs that differ in their seed only."""
    budget: dict[str, bool | int | float | str | None] | None = None
    """The fields of the job's ``Budget``. The budget is judged whenever the sweep is read."""
    auto_data: str | None = msgspec.field(default=None, name="found")
    """The data set that ``data=auto`` stands for. None: the config names a data set."""
    format: int = 1


def manifest_entry(job: Job | InvalidJob, config_digest: str | None = None) -> ManifestEntry:
    """The entry for ``job``."""
    if isinstance(job, InvalidJob):
        return ManifestEntry(job.overrides, error=job.error, config_digest=config_digest, format=FORMAT)
    return ManifestEntry(
        job.overrides,
        job.folder.name,
        config_digest=config_digest,
        group=identity(replace(job.config, seed=0)),
        budget=asdict(job.config.budget),
        auto_data=job.auto_data,
        format=FORMAT,
    )


def read_manifest(folder: Path) -> list[ManifestEntry]:
    """The jobs of the sweep in ``folder``, each once. Empty if there is no ``jobs.jsonl``.

    Raises:
        UserError: the file cannot be read, or a line is not a job.
    """
    path = folder / MANIFEST
    try:
        content = files.read(path, MAX_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    by_overrides: dict[Overrides, ManifestEntry] = {}
    complete = content[: content.rfind(b"\n") + 1]  # a killed process leaves half a line at the end
    for number, line in enumerate(complete.splitlines(), 1):
        try:
            entry = files.decode(line, ManifestEntry)
        except files.BadFileError as error:
            raise UserError(f"line {number} of {path} is not a job: {error.strerror}. {REMEDY}") from error
        by_overrides[entry.overrides] = entry  # if the config files changed, the same overrides are another job
    by_job: dict[object, ManifestEntry] = {}
    for entry in by_overrides.values():  # a job has the place of its first entry, and the content of its last
        by_job[entry.folder or entry.overrides] = entry
    return list(by_job.values())


def add_entries(folder: Path, entries: Iterable[ManifestEntry]) -> None:
    """Appends ``entries`` to the manifest of the sweep in ``folder``. Jobs on several nodes may do this at the same time.

    Raises:
        RunError: the folder cannot be written.
    """
    with files.machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with files.lock(folder / ".jobs.lock"), files.open_file(folder / MANIFEST, "ab+") as file:
            drop_incomplete_line(file)
            file.writelines(msgspec.json.encode(entry) + b"\n" for entry in entries)


def drop_incomplete_line(file: IO[bytes]) -> None:
    """Removes the half line that a killed process left at the end of ``file``, and moves to the end."""
    size = file.seek(0, 2)
    if size == 0:
        return
    file.seek(-1, 2)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, 2)
