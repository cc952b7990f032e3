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
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self  # where Python delivers no signals
        for number in SIGNALS:
            # ignored by whoever started us (nohup, a shell's background job): stays so
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        threading.Thread(target=_exit_at_the_second, args=(self._pipe[0],), daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._pipe is not None:
            signal.set_wakeup_fd(self._wakeup)
            os.close(self._pipe[1])  # which ends the thread
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def raise_if_received(self) -> None:
        """Raises ``Interrupted`` if a signal has come."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or number
        if not self.armed:
            before = self._before.get(number)
            if callable(before) and before is not signal.default_int_handler:
                before(number, _frame)  # a command ends here: nothing has been written yet
            raise Interrupted(number)


def _exit_at_the_second(pipe: int) -> None:
    """Python calls handlers between two of its own instructions, and one call of torch can take seconds; a thread does not wait.

    Python writes the number of each signal into ``pipe`` as it comes.
    """
    count = 0
    with os.fdopen(pipe, "rb", buffering=0) as numbers:
        while byte := numbers.read(1):
            count += byte[0] in SIGNALS
            if count == 2:
                os._exit(128 + byte[0])  # not even files are closed: checkpoints are made for that
