"""Signals ask a run to stop: it finishes its step and saves its state. A second Ctrl-C ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # SIGHUP: the terminal or the connection was closed
PREEMPTION = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""The signals that a cluster sends before it takes the machine away from a job. The launcher has a handler for its signal."""
REPEATED_WITHIN = 0.5
"""Seconds. A program that forwards Ctrl-C to its children repeats it within milliseconds; a person needs longer."""
NOTICE = "Ctrl-C: the current step ends and the state is saved. Ctrl-C again stops at once, without saving."


@contextlib.contextmanager
def preemption_waits() -> Iterator[None]:
    """Inside the block, the signals of ``PREEMPTION`` wait. The block may import modules.

    The handlers of launchers raise ``SystemExit``. Python can lose or replace an exception while it imports a module.
    """
    if not PREEMPTION:  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PREEMPTION)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Interrupted(KeyboardInterrupt):
    """A signal has stopped a run. ``code`` is the exit code: 128 plus the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class StopRequest:
    """``with StopRequest() as stop:`` records signals while the block runs.

    Several signals are one request, because a scheduler, a shell and a process group may each send a signal. Only a second
    SIGINT, at least ``REPEATED_WITHIN`` seconds after the first, calls ``at_once`` and ends the process.

    While ``can_save`` is false there is nothing to save, and the first signal raises ``Interrupted`` in the main thread.

    A signal of ``PREEMPTION`` counts if a launcher has installed a handler for it. It never raises an exception inside the block.
    The run saves its state, and the end of the block calls the launcher's handler, which starts the job again elsewhere.
    """

    def __init__(self) -> None:
        self.can_save = False
        self.received: int | None = None
        """The number of the first signal."""
        self.at_once: Callable[[], None] | None = None
        """Called in another thread before the process ends without saving. It may end worker processes."""
        self._before: dict[int, object] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self  # Python delivers signals to the main thread only
        # a signal that the caller ignores (nohup, a background job) stays ignored
        handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        handled += [number for number in PREEMPTION if callable(signal.getsignal(number))]
        for number in handled:
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
            os.close(self._pipe[1])  # ends the thread
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self.received is not None and self.received in PREEMPTION:
            signal.raise_signal(self.received)

    def raise_if_received(self) -> None:
        """Raises ``Interrupted`` if a signal has come."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            return  # the same request. A second exception would interrupt the code that cleans up
        self.received = number
        if not self.can_save and number not in PREEMPTION:
            before = self._before.get(number)
            if callable(before) and before is not signal.default_int_handler:
                before(number, _frame)  # the handler of a command ends the process: nothing has been written yet
            raise Interrupted(number)

    def _watch(self, pipe: int) -> None:
        """Ends the process at the second Ctrl-C. Python writes the number of each signal into ``pipe`` at once.

        A signal handler would be late: Python calls it after the current instruction, and one call of torch can take seconds.
        """
        first: float | None = None
        with os.fdopen(pipe, "rb", buffering=0) as numbers:
            while byte := numbers.read(1):
                if byte[0] != signal.SIGINT:
                    continue
                if first is None:
                    first = time.monotonic()
                    if self.can_save and sys.stderr is not None:
                        with contextlib.suppress(OSError, ValueError):  # the terminal was closed
                            print(f"\n{NOTICE}", file=sys.stderr, flush=True)
                elif time.monotonic() - first >= REPEATED_WITHIN:
                    if self.at_once is not None:
                        self.at_once()
                    os._exit(128 + signal.SIGINT)  # closes no files; checkpoints stay valid
