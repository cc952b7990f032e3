"""Opens, reads and writes the files of run folders and sweep folders. No other module opens these files.

A folder may come from a stranger. Therefore a file is used only if it is a plain file in a real folder, and not a link,
a pipe or a device. Files are never read beyond a limit. JSON is decoded into given types.

Writes are atomic: after a crash, a full disk or a power cut, a file has its old content or its new content.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import msgspec
from filelock import FileLock

from mnist_lite.errors import MachineError
from mnist_lite.process import startup

T = TypeVar("T")
MAX_SLUG_LENGTH = 160
MB = 1024**2


class BadFileError(OSError):
    """A file that must not be used: a link, a folder, a pipe or a device, or a file that is too large or has wrong content.

    ``strerror`` says what is wrong.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(errno.EINVAL, reason, None if path is None else str(path))


def check_folder(folder: Path) -> None:
    """Checks that ``folder`` is a folder and not a link to one.

    Raises:
        BadFileError: it is a link or a file.
        FileNotFoundError: it does not exist.
    """
    _check_kind(folder, folder.lstat().st_mode, stat.S_ISDIR, "folder")


def check_file(path: Path) -> None:
    """Checks that ``path`` is a plain file, or does not exist yet, in a folder that is not a link.

    Raises:
        BadFileError: it is a link, a folder, a pipe or a device.
    """
    check_folder(path.parent)
    with contextlib.suppress(FileNotFoundError):
        _check_kind(path, path.lstat().st_mode, stat.S_ISREG, "file")


def real_folder(folder: Path) -> Path:
    """``folder``, or the folder that it leads to if it is a link. Users may name links. Links in their folders are refused."""
    return folder.resolve() if folder.is_symlink() else folder


def open_file(path: Path, mode: str, buffering: int = -1) -> IO[bytes]:
    """Opens a plain file for reading (``rb``) or for appending (``ab``, ``ab+``). A file to append to is created.

    Raises:
        BadFileError: see ``check_file``.
        OSError: the file is missing, or the system does not allow it.
    """
    check_file(path)
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # if the file became a pipe just now, do not wait for a writer
    flags |= os.O_RDONLY if mode == "rb" else os.O_RDWR | os.O_APPEND | os.O_CREAT
    file = open(path, mode, buffering, opener=lambda name, _: os.open(name, flags, 0o666))  # noqa: SIM115
    try:
        _check_kind(path, os.fstat(file.fileno()).st_mode, stat.S_ISREG, "file")
    except BadFileError:
        file.close()
        raise
    return file


def read(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most ``limit`` bytes.

    Raises:
        BadFileError: see ``check_file``. Or the file is larger.
        OSError: the file is missing, or the system does not allow it.
    """
    with open_file(path, "rb") as file:
        if os.fstat(file.fileno()).st_size <= limit and len(content := file.read(limit + 1)) <= limit:
            return content
    raise BadFileError(f"it is larger than {limit / MB:g} MB", path)


def decode(line: bytes, kind: type[T]) -> T:
    """The value of type ``kind`` in a text in JSON. Numbers in JSON are finite.

    Raises:
        BadFileError: the text is not JSON, or it has another value.
    """
    try:
        return msgspec.json.decode(line, type=kind)
    except RecursionError as error:
        raise BadFileError("it is nested too deeply") from error
    except ValueError as error:  # msgspec's errors, and UnicodeDecodeError
        raise BadFileError(str(error)) from error


def lock(path: Path) -> FileLock:
    """A lock of the system on the file ``path``, which is created. It is not acquired yet.

    Raises:
        BadFileError: see ``check_file``.
    """
    check_file(path)
    return FileLock(path, thread_local=False)


def write(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Replaces the file at ``path`` by one with ``content``.

    Steps: write a temporary file in the same folder, fsync it, rename it to ``path``, fsync the folder. With ``keep``,
    the new file is read back and compared first, and the old file is renamed to ``keep``.

    Raises:
        MachineError: the file cannot be written. The old file is unchanged, and the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with startup.Cleanup(), machine_errors(path):
        check_folder(path.parent)
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
        name = error.filename if isinstance(error, BadFileError) and error.filename else path
        raise MachineError(f"cannot write {name}: {error.strerror or error}") from error


def _check_kind(path: Path, mode: int, is_right: Callable[[int], bool], kind: str) -> None:
    if stat.S_ISLNK(mode):
        raise BadFileError(f"it is a link, not a {kind}", path)
    if not is_right(mode):
        raise BadFileError(f"it is not a plain {kind}", path)
