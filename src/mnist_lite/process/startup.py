"""What a command does first: it installs signal handlers, and it makes the standard streams safe to print any text to.

This module imports little, so that the handlers are installed before the slow imports (Hydra, matplotlib, torch).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO

from mnist_lite.errors import printable
from mnist_lite.process.stop_request import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from types import FrameType


GARBAGE_THRESHOLDS = (50_000, 20, 100)
"""See ``gc.set_threshold``. The default of the first number is 700 to 2,000, of the others 10."""


def begin() -> None:
    """Prepares the process of a command. From now on a signal ends the process with one line.

    A signal that the caller ignores (``nohup``) stays ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, end_process)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The stream is closed. The next opened file would get its number, and printed text would go into that file.
            # ``os.open`` takes the lowest free number, which is this number.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    keep_streams_usable()
    # Python searches for garbage whenever there are 700 more objects, which takes about 0.5 s while torch is imported. It
    # searches again at its end, for about 1 s. Then the memory is freed anyway.
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    atexit.register(gc.freeze)


def keep_streams_usable() -> None:
    """After this call, writing to standard output and standard error never fails. Text that nobody can read is discarded.

    Control characters, and characters that the terminal cannot show, are escaped. They may come from file names, files or
    the command line. A stream that a test has replaced stays as it is.
    """
    os.environ["PYTHON_COLORS"] = "0"  # Python 3.13 colours tracebacks, and colours would be escaped, too
    sys.stdout, sys.stderr = _usable(sys.stdout, 1), _usable(sys.stderr, 2)


def end_process(number: int, _frame: FrameType | None = None) -> None:
    """The signal handler of a command: prints one line and ends the process with the exit code 128 + ``number``.

    The handler does not raise an exception, because Python can lose or replace an exception while it imports a module. Inside
    ``Cleanup`` the first signal does raise ``KeyboardInterrupt``. ``Cleanup`` then ends the process.
    """
    if Cleanup.depth and not Cleanup.received:
        Cleanup.received = number
        raise KeyboardInterrupt(signal.Signals(number).name)
    with contextlib.suppress(OSError):
        os.write(2, f"stopped by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


class Cleanup:
    """``with Cleanup():`` is for code that removes its temporary files, or ends its processes, after an exception.

    Inside, a signal raises ``KeyboardInterrupt``. The process ends at the end of the ``with`` block.
    """

    depth = 0
    received = 0
    """The number of the signal that came inside the block; 0: none."""

    def __enter__(self) -> None:
        Cleanup.depth += 1

    def __exit__(self, *_error: object) -> None:
        Cleanup.depth -= 1
        if Cleanup.received and not Cleanup.depth:
            end_process(Cleanup.received)


def start_without_ctrl_c(process: BaseProcess) -> None:
    """Starts ``process`` with SIGINT blocked. Ctrl-C then never reaches it, and its parent must end it.

    A terminal sends SIGINT to every process of a command.
    """
    with _safe_path(), _inherited_block({signal.SIGINT}):
        process.start()


def start_fork_server(module: str) -> None:
    """Starts the server of ``multiprocessing``'s method ``forkserver``. It imports ``module``, and this function does not wait.

    All signals of ``SIGNALS`` are blocked in the server and in the processes that are forked from it. A signal to the whole
    process group must not end the server: it reports how each of these processes ended. They unblock the signals that they need.
    """
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload([module])
    with _safe_path(), _inherited_block(set(SIGNALS)):
        forkserver.ensure_running()


@contextlib.contextmanager
def _inherited_block(signals: set[signal.Signals]) -> Iterator[None]:
    """Inside, ``signals`` are blocked, and a new process inherits this. A signal that comes inside is delivered at the end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()  # its process must not end by SIGHUP. This call unblocks SIGINT and SIGTERM
        signal.pthread_sigmask(signal.SIG_SETMASK, before | signals)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Inside, a new process of Python 3.11 or later imports nothing from the current folder.

    ``multiprocessing`` starts Python with ``-c``, and that Python would search the current folder first.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


class _Descriptor(io.FileIO):
    """A descriptor for writing. After a failed write (no reader, a full disk) it is replaced by the null device."""

    def write(self, data: Any) -> int:
        """Returns the number of bytes that were written or discarded."""
        try:
            while (written := super().write(data)) is None:  # non-blocking, and the reader is slow
                self._wait()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes
        return written

    def _wait(self) -> None:
        import select

        select.select([], [self], [])


class _Text(io.TextIOWrapper):
    """A text stream that escapes what is not printable."""

    keeps_carriage_return = False

    def write(self, text: str) -> int:
        """Returns the length of ``text``."""
        escaped = "\r".join(map(printable, text.split("\r"))) if self.keeps_carriage_return else printable(text)
        super().write(escaped)
        return len(text)


def _usable(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # Python found the descriptor closed
        return _text(descriptor, "utf-8", line_buffering=True)
    try:
        if stream.fileno() != descriptor or not isinstance(stream, io.TextIOWrapper):
            return stream
        stream.flush()
    except (OSError, ValueError):
        return stream
    # PYTHONUNBUFFERED sets write_through. The new stream has a buffer, so it flushes the buffer at the end of each line.
    return _text(descriptor, stream.encoding, stream.line_buffering or stream.write_through)


def _text(descriptor: int, encoding: str, line_buffering: bool) -> TextIO:
    raw = _Descriptor(descriptor, "w", closefd=False)
    text = _Text(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=line_buffering)
    text.keeps_carriage_return = descriptor == 2  # the progress bar needs it
    return text
