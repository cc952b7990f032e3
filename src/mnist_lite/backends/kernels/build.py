"""Compiles the C++ kernels for the processor of this machine and keeps the library in the user's cache folder.

``load()`` gives the library. If several processes need it at the same time, one compiles and the others wait. A new build removes
libraries that no process has loaded for ``UNUSED_DAYS`` days.

To load a library runs its code. So the folder and the library must belong to this user, nobody else may write them, and they must
not be links. This is checked before a library is loaded. If the folder fails a check, nothing is loaded from it or built in it.
If a library fails a check, it is built again.
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
import stat
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
FUNCTIONS = (
    "mnist_lite_bfloat16_products",
    "mnist_lite_float32_products",
    "mnist_lite_new",
    "mnist_lite_delete",
    "mnist_lite_run",
    "mnist_lite_update",
)
"""The functions of network.cpp."""


class BuildError(Exception):
    """The kernels cannot be built or loaded on this machine. The message is one line with the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def compiler_command() -> list[str]:
    """The C++ compiler: the environment's ``CXX`` with its arguments, or the first that is installed. Empty if there is none.

    Raises:
        BuildError: ``CXX`` has a quote without its other half.
    """
    text = os.environ.get("CXX", "")
    try:
        if command := shlex.split(text):
            return command
    except ValueError as error:
        raise BuildError(f"the environment's CXX is not a command: {error}: {text}") from error
    return [path for name in COMPILERS if (path := shutil.which(name))][:1]


def cache_folder() -> Path:
    """The folder for libraries: ``mnist-lite`` in ``XDG_CACHE_HOME``, or in ``~/.cache``.

    By its specification, an ``XDG_CACHE_HOME`` that is not an absolute path does not count.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path("~/.cache").expanduser()) / "mnist-lite"


def must_build() -> bool:
    """Whether ``load`` starts the compiler. False: the library is there already, or ``load`` raises an error at once."""
    with contextlib.suppress(BuildError, OSError, RuntimeError, subprocess.TimeoutExpired):
        compiler = compiler_command()
        return bool(compiler) and _find(f"kernels-{_fingerprint(compiler)}") is None
    return False


@cache
def load() -> ctypes.CDLL:
    """The library for this processor. If there is none yet, it is built, which takes about 7 s.

    Raises:
        BuildError: no compiler, a compiler that fails, a folder that cannot be written or that others may write, or a library
            without our functions.
    """
    compiler = compiler_command()
    if not compiler:
        raise BuildError(f"no C++ compiler ({', '.join(COMPILERS)}, or the environment's CXX)")
    try:
        name = f"kernels-{_fingerprint(compiler)}"
        _prepare_folder()
        path = _find(name) or _build_once(compiler, name)
        with contextlib.suppress(OSError):  # a read-only cache folder
            os.utime(path)  # the time of the last use
        library = ctypes.CDLL(str(path))
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:  # RuntimeError: the user has no home folder
        raise BuildError(f"{shlex.join(compiler)}: {error}") from error
    missing = [function for function in FUNCTIONS if not hasattr(library, function)]
    if missing:
        raise BuildError(f"{path} does not have {', '.join(missing)}; remove it")
    _declare(library)
    return library


def _prepare_folder() -> None:
    """Creates the cache folder, or checks that it is safe to load a library from it.

    Raises:
        BuildError: it is not.
        OSError: it cannot be created.
    """
    folder = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise BuildError(f"{folder} is a link; remove it")
    if not _only_ours(status):
        raise BuildError(f"other users may write {folder}; remove it, or make it your own: chown, chmod go-w")


def _only_ours(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user, and nobody else may write it."""
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _find(name: str) -> Path | None:
    """The library whose name begins with ``name``, if it is there, safe to load and not damaged."""
    for path in sorted(cache_folder().glob(f"{name}-*.so")):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and _only_ours(status) and path.name == _file_name(name, path):
            return path
    return None


def _file_name(name: str, path: Path) -> str:
    """``name`` and a checksum of the file ``path``. To load a damaged library would end the process."""
    return f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.so"


def _build_once(compiler: list[str], name: str) -> Path:
    """The library, built by this process or by another one. A lock ends when its process ends, even after a kill."""
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
        output.chmod(0o700)  # whatever the umask is
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
        stdin=subprocess.DEVNULL,
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
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]


def _declare(library: ctypes.CDLL) -> None:
    """Declares the functions of network.cpp."""
    pointer = ctypes.c_void_p
    number = ctypes.c_int
    library.mnist_lite_bfloat16_products.argtypes, library.mnist_lite_bfloat16_products.restype = [], number
    library.mnist_lite_float32_products.argtypes, library.mnist_lite_float32_products.restype = [], number
    library.mnist_lite_new.argtypes, library.mnist_lite_new.restype = [pointer, number, number, number], pointer
    library.mnist_lite_delete.argtypes, library.mnist_lite_delete.restype = [pointer], None
    library.mnist_lite_run.argtypes = [
        *(pointer, pointer, pointer, number, pointer, pointer),
        *(ctypes.c_uint64, ctypes.c_float, pointer, pointer),
    ]
    library.mnist_lite_run.restype = number
    library.mnist_lite_update.argtypes = [pointer] * 4 + [number, pointer, number]
    library.mnist_lite_update.restype = None
