"""Atomic file writes: after a crash, a full disk or a power cut, a file has its old content or its new content.

Input: a path and bytes. Failures of the system become ``MachineError``. This module does not know what the files
contain.
"""

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
    """Replaces the file at ``path`` by one with ``content``.

    Steps: write a temporary file in the same folder, fsync it, rename it to ``path``, fsync the folder. With ``keep``,
    the new file is read back and compared first, and the old file is renamed to ``keep``.

    Raises:
        MachineError: the file cannot be written. The old file is unchanged, and the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with startup.Cleanup(), machine_errors(path):
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


def remove_temporary_files(folder: Path) -> None:
    """Removes the temporary files that a killed process left in ``folder``."""
    for path in folder.glob(".*.tmp"):
        path.unlink()


def sync(file: IO[bytes], path: Path) -> None:
    """Writes the buffer of the open ``file`` to the disk. ``path`` is for the error message.

    Raises:
        MachineError: the file cannot be written.
    """
    with machine_errors(path):
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Writes the file names of ``folder`` to the disk. A rename is safe only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def machine_errors(path: Path) -> Iterator[None]:
    """Inside ``with machine_errors(path):``, an ``OSError`` becomes a ``MachineError`` that names ``path``."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror or error}") from error
