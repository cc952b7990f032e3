"""Compiles the C++ kernels for the processor of this machine and keeps the library in the user's cache folder.

``load()`` gives the library. If several processes need it at the same time, one compiles and the others wait. A new build removes
libraries that no process has loaded for ``UNUSED_DAYS`` days.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_lite.backends.processor import processor_flags
from mnist_lite.process import startup

SOURCES = Path(__file__).parent
# No -ffast-math: NaN and infinity must stay, and sums must keep their order.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-pthread")
COMPILERS = ("c++", "g++", "clang++")
MAX_SECONDS = 300.0
"""The time limit for the compiler, and for another process that compiles the same library."""
UNUSED_DAYS = 30
LOCK = "build.lock"


class BuildError(Exception):
    """The kernels cannot be built or loaded on this machine. The message gives the reason."""


def compiler_command() -> list[str]:
    """The C++ compiler: the environment's ``CXX`` with its arguments, or the first that is installed. Empty if there is none."""
    if command := os.environ.get("CXX", "").split():
        return command
    return [path for name in COMPILERS if (path := shutil.which(name))][:1]


def cache_folder() -> Path:
    """The folder for libraries: ``mnist-lite`` in ``XDG_CACHE_HOME``, or in ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path("~/.cache").expanduser()) / "mnist-lite"


@cache
def load() -> ctypes.CDLL:
    """The library for this processor. If there is none yet, it is built, which takes about 4 s.

    Raises:
        BuildError: no compiler, a compiler that fails, or a folder that cannot be written.
    """
    compiler = compiler_command()
    if not compiler:
        raise BuildError(f"no C++ compiler ({', '.join(COMPILERS)}, or the environment's CXX)")
    try:
        name = f"kernels-{_fingerprint(compiler)}"
        path = _find(name) or _build_once(compiler, name)
        with contextlib.suppress(OSError):  # a read-only cache folder
            os.utime(path)  # the time of the last use
        library = ctypes.CDLL(str(path))
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:  # RuntimeError: the user has no home folder
        raise BuildError(f"{shlex.join(compiler)}: {error}") from error
    _declare(library)
    return library


def _find(name: str) -> Path | None:
    """The library whose name begins with ``name``, if it is there and not damaged."""
    paths = sorted(cache_folder().glob(f"{name}-*.so"))
    return next((path for path in paths if path.name == _file_name(name, path)), None)


def _file_name(name: str, path: Path) -> str:
    """``name`` and a checksum of the file ``path``. To load a damaged library would end the process."""
    return f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.so"


def _build_once(compiler: list[str], name: str) -> Path:
    """The library, built by this process or by another one. A lock ends when its process ends, even after a kill."""
    cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(cache_folder() / LOCK)
    with contextlib.suppress(Timeout):  # then two processes build, which only costs time
        lock.acquire(timeout=MAX_SECONDS)
    try:
        return _find(name) or _build(compiler, name)
    finally:
        lock.release()


def _build(compiler: list[str], name: str) -> Path:
    folder = cache_folder()
    for leftover in folder.glob("build-*"):  # of a process that was killed
        if _age(leftover) > MAX_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)
    with startup.Cleanup(), tempfile.TemporaryDirectory(dir=folder, prefix="build-") as scratch:
        output = Path(scratch) / "library.so"
        _run([*compiler, *FLAGS, "-o", str(output), str(SOURCES / "network.cpp")], scratch)
        if not output.is_file():
            raise OSError("it ends without an error, but has written nothing")
        # A rename is atomic: other processes see the whole library or none.
        library = output.replace(folder / _file_name(name, output))
    for path in folder.glob("kernels-*.so"):  # of other sources, compilers or machines
        with contextlib.suppress(OSError):  # another process has removed it
            if _age(path) > UNUSED_DAYS * 86_400:
                path.unlink()
    return library


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _run(command: list[str], scratch: str | None = None) -> str:
    """What ``command`` prints. ``scratch`` is a folder for its temporary files.

    An exception here, such as a signal or the time limit, also ends the processes that ``command`` has started.
    """
    environment = {**os.environ, "TMPDIR": scratch} if scratch else None
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            output, errors = process.communicate(timeout=MAX_SECONDS)
        except BaseException:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise OSError((errors.strip().splitlines() or [f"it ends with exit code {process.returncode}"])[0])
    return output


def _fingerprint(compiler: list[str]) -> str:
    """A hash of all that the library depends on: sources, compiler, flags, processor, and C library."""
    parts = [
        *(path.read_text("utf-8") for path in sorted((*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp")))),
        *compiler,
        _run([*compiler, "--version"]),
        *FLAGS,
        platform.system(),
        *platform.libc_ver(),  # a library that was built with a newer C library does not load
        platform.machine(),
        processor_flags(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _declare(library: ctypes.CDLL) -> None:
    """Declares the functions of network.cpp."""
    pointer = ctypes.c_void_p
    library.mnist_lite_new.argtypes, library.mnist_lite_new.restype = [pointer, ctypes.c_int, ctypes.c_int], pointer
    library.mnist_lite_delete.argtypes, library.mnist_lite_delete.restype = [pointer], None
    library.mnist_lite_run.argtypes = [
        *(pointer, pointer, pointer, ctypes.c_int, pointer, pointer),
        *(ctypes.c_uint64, ctypes.c_float, pointer),
    ]
    library.mnist_lite_run.restype = ctypes.c_int
