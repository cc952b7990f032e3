"""The signals of a cluster: the run saves its state first, then the launcher's own handler is called."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from mnist_lite.process.stop_request import Interrupted, StopRequest, preemption_waits

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="this system has no SIGUSR2")
REQUEUE = 144
"""The exit code of the launcher's handler below."""


@pytest.fixture(autouse=True)
def launcher() -> Iterator[None]:
    """Installs a handler that ends the process, as submitit does."""

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.exit(REQUEUE)

    before = signal.signal(signal.SIGUSR2, end)
    yield
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("can_save", [False, True])
def test_a_run_ends_its_step_and_saves_before_the_launcher_takes_over(can_save: bool):
    done = []
    with pytest.raises(SystemExit, match=str(REQUEUE)), StopRequest() as stop:
        stop.can_save = can_save
        signal.raise_signal(signal.SIGUSR2)
        done.append("step")
        assert stop.received == signal.SIGUSR2
        done.append("save")
        raise Interrupted(stop.received)
    assert done == ["step", "save"]


def test_a_run_that_ends_at_the_same_time_is_handed_over_too():
    with pytest.raises(SystemExit, match=str(REQUEUE)), StopRequest():
        signal.raise_signal(signal.SIGUSR2)


def test_without_a_launcher_the_signal_keeps_its_meaning():
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    with StopRequest():
        assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


def test_a_signal_during_an_import_is_handled_after_it():
    done = []
    with pytest.raises(SystemExit, match=str(REQUEUE)), preemption_waits():
        signal.raise_signal(signal.SIGUSR2)
        done.append("import")
    assert done == ["import"]
