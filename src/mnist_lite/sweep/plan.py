"""What a sweep consists of: a line for each job that was ever wanted in it, written when the job becomes known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from mnist_lite import durable
from mnist_lite.errors import UserError

PLAN = "jobs.jsonl"
STUDY = "study.log"
"""Of a search; a sweep that is none has no such file."""


@dataclass(frozen=True)
class Entry:
    """A job as the plan knows it."""

    overrides: tuple[str, ...]
    folder: str | None
    """Its name within the sweep's; None: its config was refused."""
    error: str | None = None
    conf: str | None = None
    """A digest of the files that ``overrides`` were composed with."""


def read_plan(folder: Path) -> list[Entry]:
    """What the sweep in ``folder`` consists of, each job once; nothing if it has not begun.

    Raises:
        UserError: the file is not one of ours.
    """
    by_words: dict[tuple[str, ...], Entry] = {}
    try:
        text = (folder / PLAN).read_text("utf-8")
        for line in text[: text.rfind("\n") + 1].splitlines():  # what follows the last end of line is torn
            entry = _entry(json.loads(line))
            by_words[entry.overrides] = entry  # the same words with other files are another job: the later one counts
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"sweep.dir: {folder / PLAN} cannot be read: {error}") from error
    by_job: dict[object, Entry] = {}
    for entry in by_words.values():
        by_job.setdefault(entry.folder or entry.overrides, entry)
    return list(by_job.values())


def add(folder: Path, entries: Iterable[Entry]) -> None:
    """Writes ``entries`` into the plan of the sweep in ``folder``; jobs on many nodes may do so at once.

    Raises:
        RunError: the folder cannot be written.
    """
    lines = "".join(json.dumps({k: v for k, v in asdict(entry).items() if v is not None}) + "\n" for entry in entries)
    with durable.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".jobs.lock"), (folder / PLAN).open("ab+") as file:
            _drop_torn_line(file)
            file.write(lines.encode())


def _drop_torn_line(file: BinaryIO) -> None:
    """Whoever was killed while it wrote has left half a line."""
    size = file.seek(0, 2)
    if size == 0:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, 2)


def _entry(content: dict[str, object]) -> Entry:
    overrides, folder = content["overrides"], content.get("folder")
    if not isinstance(overrides, list) or not isinstance(folder, str | None) or "/" in (folder or ""):
        raise ValueError("not a job")
    texts = {key: str(value) for key in ("error", "conf") if (value := content.get(key)) is not None}
    return Entry(tuple(map(str, overrides)), folder, **texts)
