"""The first thing that a command does: it decides what a signal does, and it makes closed streams usable.

This module imports little, so that it acts before the slow imports (Hydra, matplotlib, torch) begin.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO

from mnist_lite.process.stop_request import SIGNALS

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from types import FrameType


def begin() -> None:
    """Prepares the process of a command.

    From now on a signal ends the process with one line. A signal that the caller ignores (``nohup``) stays ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, end_process)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # It is closed. The next file would get its number, and what is printed would go into that file.
            # ``os.open`` takes the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    keep_streams_usable()


def keep_streams_usable() -> None:
    """Makes writing to standard output and standard error never fail: what nobody can read is thrown away.

    A stream that does not write to the standard descriptor (a test has replaced it) stays as it is.
    """
    sys.stdout, sys.stderr = _usable(sys.stdout, 1), _usable(sys.stderr, 2)


def end_process(number: int, _frame: FrameType | None = None) -> None:
    """The signal handler of a command: prints one line and ends the process with the exit code 128 + ``number``.

    An exception would not do. It can be lost, or become another error, when it is raised while Python imports a module.
    Only inside ``Cleanup`` is it raised: ``KeyboardInterrupt``, once. ``Cleanup`` then ends the process.
    """
    if Cleanup.depth and not Cleanup.received:
        Cleanup.received = number
        raise KeyboardInterrupt(signal.Signals(number).name)
    with contextlib.suppress(OSError):
        os.write(2, f"stopped by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


class Cleanup:
    """``with Cleanup():`` around code that removes its temporary files or ends its processes when an exception comes.

    Inside, a signal is such an exception. The process ends when the code has removed what it made.
    """

    depth = 0
    received = 0
    """The number of the signal that has come inside."""

    def __enter__(self) -> None:
        Cleanup.depth += 1

    def __exit__(self, *_error: object) -> None:
        Cleanup.depth -= 1
        if Cleanup.received and not Cleanup.depth:
            end_process(Cleanup.received)


def start_without_ctrl_c(process: BaseProcess) -> None:
    """Starts ``process`` so that Ctrl-C never reaches it, not even while it imports. Its parent must end it.

    A terminal sends SIGINT to every process of a command. A signal that is blocked here stays blocked in the child. If one
    comes to the parent meanwhile, it is delivered right after.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        process.start()
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # this unblocks SIGINT, so it must not happen inside ``process.start``
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Descriptor(io.FileIO):
    """A descriptor for writing that becomes the null device when a write fails: the reader is gone, or the disk is full."""

    def write(self, data: Any) -> int:
        """The number of bytes that were written or thrown away."""
        try:
            while (written := super().write(data)) is None:  # it does not block, and its reader is slow
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


def _usable(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # Python found the descriptor closed
        return _text(descriptor, "utf-8", "backslashreplace", line_buffering=True)
    try:
        if stream.fileno() != descriptor or not isinstance(stream, io.TextIOWrapper):
            return stream
        stream.flush()
    except (OSError, ValueError):
        return stream
    # PYTHONUNBUFFERED asks for write_through. The new stream has a buffer, and flushes it at the end of each line instead.
    return _text(descriptor, stream.encoding, stream.errors or "strict", stream.line_buffering or stream.write_through)


def _text(descriptor: int, encoding: str, errors: str, line_buffering: bool) -> TextIO:
    raw = _Descriptor(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=line_buffering)
