"""Limits on the time and the memory of work whose size a user decides, and which is small for all sensible input."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mnist_lite.errors import UserError

MAX_SECONDS = 10.0
"""Of processor time. A config takes 0.1 s."""
MAX_BYTES = 2**30
"""More than before the work. A config takes 0.02 GB."""


class _OutOfTime(BaseException):
    """The work has taken ``MAX_SECONDS``. Not an ``Exception``, so that OmegaConf does not make one of its own errors of it."""


@contextmanager
def limits(what: str) -> Iterator[None]:
    """Inside, work that does not end, needs too much memory or is nested too deeply becomes a ``UserError`` about ``what``.

    The limits hold where the system has them: in the main thread of a process, and for the memory on Linux.
    """
    try:
        with _limited_time(), _limited_memory():
            yield
    except _OutOfTime:
        raise UserError(
            f"{what} takes more than {MAX_SECONDS:g} s: it repeats or refers to its parts too often"
        ) from None
    except MemoryError:
        raise UserError(f"{what} needs more than {MAX_BYTES / 2**30:g} GiB of memory") from None
    except RecursionError:
        raise UserError(f"{what} is nested too deeply") from None


@contextmanager
def _limited_time() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    # Once more after each further second: Python ignores an exception that is raised in the garbage collector.
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _limited_memory() -> Iterator[None]:
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # not Linux
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = min((bound for bound in (soft, hard, used + MAX_BYTES) if bound != resource.RLIM_INFINITY), default=soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
