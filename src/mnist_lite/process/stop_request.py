"""Signals that ask a run to stop. The step ends and the state is saved. Only a second Ctrl-C ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # SIGHUP: the terminal or the connection is gone
REPEATED_WITHIN = 0.5
"""Seconds. Programs that pass Ctrl-C on to their children repeat it within milliseconds; a person needs longer."""
NOTICE = "Ctrl-C: the current step ends and the state is saved. Ctrl-C again stops at once, without saving."


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal. ``code`` is the exit code that says so: 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class StopRequest:
    """``with StopRequest() as stop:`` collects signals while the block runs.

    All signals together are one request, however many come: a scheduler, a shell and a process group may each send their own.
    Only a second SIGINT, ``REPEATED_WITHIN`` seconds after the first or later, calls ``at_once`` and ends the process at once.

    Before ``armed`` is set there is nothing to save, and the first signal raises ``Interrupted`` in the main thread.
    """

    def __init__(self) -> None:
        self.armed = False
        self.received: int | None = None
        """The first signal that came."""
        self.at_once: Callable[[], None] | None = None
        """Called in another thread before the process ends without saving, for example to end its workers."""
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
        threading.Thread(target=self._watch, args=(self._pipe[0],), daemon=True).start()
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
        if self.received is not None:
            return  # the same request; raised again it would strike the code that cleans up
        self.received = number
        if not self.armed:
            before = self._before.get(number)
            if callable(before) and before is not signal.default_int_handler:
                before(number, _frame)  # a command ends here: nothing has been written yet
            raise Interrupted(number)

    def _watch(self, pipe: int) -> None:
        """Ends the process at the second Ctrl-C. Python writes the number of each signal into ``pipe`` as it comes.

        A handler would have to wait: Python calls it between two of its own instructions, and one call of torch can take seconds.
        """
        first: float | None = None
        with os.fdopen(pipe, "rb", buffering=0) as numbers:
            while byte := numbers.read(1):
                if byte[0] != signal.SIGINT:
                    continue
                if first is None:
                    first = time.monotonic()
                    if self.armed and sys.stderr is not None:
                        with contextlib.suppress(OSError, ValueError):  # the terminal is gone
                            print(f"\n{NOTICE}", file=sys.stderr, flush=True)
                elif time.monotonic() - first >= REPEATED_WITHIN:
                    if self.at_once is not None:
                        self.at_once()
                    os._exit(128 + signal.SIGINT)  # not even files are closed: checkpoints are made for that
