"""What a sweep consists of: a line for each job that was ever wanted in it, written when the job becomes known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from mnist_lite import files
from mnist_lite.config.schema import Budget
from mnist_lite.errors import UserError
from mnist_lite.runner.identity import identity
from mnist_lite.sweeps.job import InvalidJob, Job

MANIFEST = "jobs.jsonl"
STUDY = "study.log"
"""Of a search; a sweep that is none has no such file."""


REMEDY = "If you remove the file, the command that made the sweep finds all its jobs again."


@dataclass(frozen=True)
class ManifestEntry:
    """A job as the plan knows it."""

    overrides: tuple[str, ...]
    folder: str | None
    """Its name within the sweep's; None: its config was refused."""
    error: str | None = None
    conf: str | None = None
    """A digest of the files that ``overrides`` were composed with."""
    group: str | None = None
    """The same for jobs that differ in their seed alone."""
    budget: Budget | None = None
    """What the command required of the job. A budget is judged again whenever the sweep is read."""
    found: str | None = None
    """What ``data=auto`` was resolved to. None: the config names a data set."""


def read_manifest(folder: Path) -> list[ManifestEntry]:
    """What the sweep in ``folder`` consists of, each job once; nothing if it has not begun.

    Raises:
        UserError: the file is not one of ours.
    """
    by_words: dict[tuple[str, ...], ManifestEntry] = {}
    try:
        text = (folder / MANIFEST).read_text("utf-8")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder / MANIFEST} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{folder / MANIFEST} is no text. {REMEDY}") from error
    lines = text[: text.rfind("\n") + 1].splitlines()  # what follows the last end of line is torn
    for number, line in enumerate(lines, 1):
        try:
            entry = _parse_line(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"line {number} of {folder / MANIFEST} is not a job. {REMEDY}") from error
        by_words[entry.overrides] = entry  # the same words with other files are another job: the later one counts
    by_job: dict[object, ManifestEntry] = {}
    for (
        entry
    ) in by_words.values():  # a job that was asked for twice keeps its place, with the words and budget of the last
        by_job[entry.folder or entry.overrides] = entry
    return list(by_job.values())


def manifest_entry(job: Job | InvalidJob, conf: str | None = None) -> ManifestEntry:
    """What the plan says of ``job``."""
    if isinstance(job, InvalidJob):
        return ManifestEntry(job.overrides, None, job.error, conf)
    group = identity(replace(job.config, seed=0))
    return ManifestEntry(job.overrides, job.folder.name, None, conf, group, job.config.budget, job.found)


def add(folder: Path, entries: Iterable[ManifestEntry]) -> None:
    """Writes ``entries`` into the plan of the sweep in ``folder``; jobs on many nodes may do so at once.

    Raises:
        RunError: the folder cannot be written.
    """
    lines = "".join(json.dumps(_without_none(asdict(entry))) + "\n" for entry in entries)
    with files.machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".jobs.lock"), (folder / MANIFEST).open("ab+") as file:
            drop_incomplete_line(file)
            file.write(lines.encode())


def drop_incomplete_line(file: BinaryIO) -> None:
    """Whoever was killed while it wrote has left half a line."""
    size = file.seek(0, 2)
    if size == 0:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, 2)


def _parse_line(content: dict[str, object]) -> ManifestEntry:
    overrides, folder = content["overrides"], content.get("folder")
    if not isinstance(overrides, list) or not isinstance(folder, str | None) or "/" in (folder or ""):
        raise ValueError("not a job")
    texts = {key: str(value) for key in ("error", "conf", "group", "found") if (value := content.get(key)) is not None}
    return ManifestEntry(tuple(map(str, overrides)), folder, **texts, budget=_budget(content.get("budget")))


def _budget(content: object) -> Budget | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise TypeError("not a budget")
    for key, value in content.items():
        if not isinstance(value, str if key == "accuracy_on" else int | float):
            raise TypeError("not a budget")
    return Budget(**{**dict.fromkeys((spec.name for spec in fields(Budget)), None), "last_epochs": 1, **content})


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(each) if isinstance(each, dict) else each for key, each in value.items() if each is not None
    }
