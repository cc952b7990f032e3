"""Compiles the kernels for this machine's processor, once, and keeps the library in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from mnist_lite.environment import processor_flags

HERE = Path(__file__).parent
# no -ffast-math: NaN and infinity have to stay what they are, and sums in the order that is written
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-pthread")
COMPILERS = ("c++", "g++", "clang++")
LONGEST = 300.0


class BuildError(Exception):
    """The kernels cannot be built or loaded here; the message says why."""


def compiler() -> str | None:
    """The C++ compiler that would be used: the environment's ``CXX``, else the first that is found."""
    named = os.environ.get("CXX")
    return named or next((found for name in COMPILERS if (found := shutil.which(name))), None)


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
    if with_what is None:
        raise BuildError(f"no C++ compiler ({', '.join(COMPILERS)}, or the environment's CXX)")
    try:
        name = f"kernels-{_fingerprint(with_what)}"
        kept = [path for path in sorted(cache_folder().glob(f"{name}-*.so")) if path.name == _named(name, path)]
        return _declared(ctypes.CDLL(str(kept[0] if kept else _build(with_what, name))))
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["nothing said"]
        raise BuildError(f"{with_what}: {said[0]}") from error
    except (OSError, subprocess.TimeoutExpired, RuntimeError) as error:  # RuntimeError: there is no home
        raise BuildError(str(error)) from error


def _build(with_what: str, name: str) -> Path:
    kept = cache_folder()
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        made = Path(folder) / "made.so"
        command = [with_what, *FLAGS, "-o", str(made), str(HERE / "network.cpp")]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST)
        # whole or not at all, for others that build or load at the same time
        return made.replace(kept / _named(name, made))


def _named(name: str, path: Path) -> str:
    """The name that a library with the content of ``path`` must have: to load a damaged one would end the process."""
    return f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.so"


def _fingerprint(with_what: str) -> str:
    """Names what the library depends on: sources, compiler, flags, and the processor's abilities."""
    version = subprocess.run([with_what, "--version"], check=True, capture_output=True, text=True, timeout=LONGEST)
    sources = [path.read_text("utf-8") for path in sorted((*HERE.glob("*.h"), *HERE.glob("*.cpp")))]
    parts = [*sources, version.stdout, *FLAGS, platform.platform(), platform.machine(), processor_flags()]
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
