"""Compiles the kernels for this machine's processor, once, and keeps the library in the user's cache folder.

Of processes that need it at the same time one compiles and the others wait. When a new library is made, libraries that no
process has loaded for ``UNUSED_DAYS`` are removed.
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

from mnist_lite.backends.device import processor_flags
from mnist_lite.process import startup

HERE = Path(__file__).parent
# no -ffast-math: NaN and infinity have to stay what they are, and sums in the order that is written
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-pthread")
COMPILERS = ("c++", "g++", "clang++")
MAX_SECONDS = 300.0
"""Seconds for the compiler, and for another process that compiles the same."""
UNUSED_DAYS = 30
LOCK = "build.lock"


class BuildError(Exception):
    """The kernels cannot be built or loaded here; the message says why."""


def compiler() -> list[str]:
    """The C++ compiler to use: the environment's ``CXX``, with its arguments, else the first that is found; or nothing."""
    named = shlex.split(os.environ.get("CXX", ""))
    return named or [found for name in COMPILERS if (found := shutil.which(name))][:1]


def cache_folder() -> Path:
    """Where built libraries are kept: ``XDG_CACHE_HOME``, else ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "mnist-lite"


@cache
def load() -> ctypes.CDLL:
    """The library for this processor, built if it is not there yet (some 4 s).

    Raises:
        BuildError: no compiler, one that fails, or a folder that cannot be written.
    """
    with_what = compiler()
    if not with_what:
        raise BuildError(f"no C++ compiler ({', '.join(COMPILERS)}, or the environment's CXX)")
    try:
        name = f"kernels-{_fingerprint(with_what)}"
        library = _kept(name) or _build_once(with_what, name)
        with contextlib.suppress(OSError):  # a cache that can only be read
            os.utime(library)  # when it was last used
        return _declared(ctypes.CDLL(str(library)))
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it says nothing"]
        raise BuildError(f"{shlex.join(with_what)}: {said[0]}") from error
    except (OSError, ValueError, subprocess.TimeoutExpired, RuntimeError) as error:  # RuntimeError: there is no home
        raise BuildError(f"{shlex.join(with_what)}: {error}") from error


def _kept(name: str) -> Path | None:
    """The library of the fingerprint in ``name``; None: there is none, or none that is whole."""
    return next((path for path in sorted(cache_folder().glob(f"{name}-*.so")) if path.name == _named(name, path)), None)


def _build_once(with_what: list[str], name: str) -> Path:
    """The library, built here or by the process that came first. The lock ends with its process, however that ends."""
    cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(cache_folder() / LOCK)
    with contextlib.suppress(Timeout):  # then two build at once, which only costs time
        lock.acquire(timeout=MAX_SECONDS)
    try:
        return _kept(name) or _build(with_what, name)
    finally:
        lock.release()


def _remove_unused(kept: Path) -> None:
    """Removes libraries of other sources, compilers or machines that no process has loaded for a long time."""
    for path in kept.glob("kernels-*.so"):
        with contextlib.suppress(OSError):  # removed by another process
            if time.time() - path.stat().st_mtime > UNUSED_DAYS * 86_400:
                path.unlink()


def _build(with_what: list[str], name: str) -> Path:
    kept = cache_folder()
    for left in kept.glob("build-*"):  # by a process that was killed
        if time.time() - left.stat().st_mtime > MAX_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    with startup.Cleanup(), tempfile.TemporaryDirectory(dir=kept, prefix="build-") as folder:
        made = Path(folder) / "made.so"
        _run([*with_what, *FLAGS, "-o", str(made), str(HERE / "network.cpp")], folder)
        if not made.is_file():
            raise OSError("it ends well and has written nothing")
        # whole or not at all, for others that build or load at the same time
        library = made.replace(kept / _named(name, made))
    _remove_unused(kept)
    return library


def _named(name: str, path: Path) -> str:
    """The name that a library with the content of ``path`` must have: to load a damaged one would end the process."""
    return f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.so"


def _run(command: list[str], folder: str | None = None) -> str:
    """What ``command`` prints. With ``folder`` for its temporary files; a signal that ends us ends all that it has started."""
    environment = {**os.environ, "TMPDIR": folder} if folder else None
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=MAX_SECONDS)
        except BaseException:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=errors.decode(errors="replace"))
    return output.decode(errors="replace")


def _fingerprint(with_what: list[str]) -> str:
    """Names what the library depends on: sources, compiler, flags, the processor's abilities, and the C library it needs."""
    sources = [path.read_text("utf-8") for path in sorted((*HERE.glob("*.h"), *HERE.glob("*.cpp")))]
    parts = [
        *sources,
        *with_what,
        _run([*with_what, "--version"]),
        *FLAGS,
        platform.system(),
        *platform.libc_ver(),  # a library that was built with a newer one does not load
        platform.machine(),
        processor_flags(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer = ctypes.c_void_p
    library.mnist_lite_new.argtypes, library.mnist_lite_new.restype = [pointer, ctypes.c_int, ctypes.c_int], pointer
    library.mnist_lite_delete.argtypes, library.mnist_lite_delete.restype = [pointer], None
    library.mnist_lite_run.argtypes = [
        *(pointer, pointer, pointer, ctypes.c_int, pointer, pointer),
        *(ctypes.c_uint64, ctypes.c_float, pointer),
    ]
    library.mnist_lite_run.restype = ctypes.c_int
    return library
