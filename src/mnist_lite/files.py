"""Files that are whole or not there, whatever happens to the process, the disk or the power."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mnist_lite.errors import MachineError
from mnist_lite.process import startup

MAX_SLUG_LENGTH = 160


def write(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Puts ``content`` at ``path``: temporary file in the same folder, fsync, rename, fsync of the folder.

    With ``keep`` the new file is first proven, by reading it back, and what was at ``path`` is kept under that name.

    Raises:
        MachineError: it cannot be written. What was at ``path`` is still there then, and the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with startup.Cleanup(), explained(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None:
                if temporary.read_bytes() != content:
                    raise OSError(None, "it reads back differently")
                if path.exists():
                    path.replace(keep)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)


def slug(name: str) -> str:
    """``name`` as a part of a file name: at most 160 letters, digits and ``.+=,-``. Other characters become ``_``."""
    return re.sub(r"[^A-Za-z0-9.+=,-]+", "_", name)[:MAX_SLUG_LENGTH]


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of a process that was killed."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink()


def sync(file: IO[bytes], path: Path) -> None:
    """Makes all that was written to ``file``, which is ``path``, durable."""
    with explained(path):
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names in ``folder`` durable; a rename is not before this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """``with explained(path): ...`` turns an ``OSError`` on the way into a ``MachineError`` of one line."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror or error}") from error
