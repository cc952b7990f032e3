"""Signals that ask a run to stop: the first lets the step end and the state be saved, a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # SIGHUP: the terminal or the connection is gone


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal. ``code`` is the exit code that says so: 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class StopRequest:
    """``with StopRequest() as stop:``; while it holds, signals are collected.

    Before ``armed`` is set there is nothing to save, and a signal raises ``Interrupted`` where it meets the code.
    """

    def __init__(self) -> None:
        self.armed = False
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # ignored by whoever started us (nohup, a shell's background job): stays so
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def raise_if_received(self) -> None:
        """Raises ``Interrupted`` if a signal has come."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)  # not even files are closed: checkpoints are made for that
        self.received = number
        if not self.armed:
            raise Interrupted(number)
