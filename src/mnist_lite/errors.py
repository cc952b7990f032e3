"""The two kinds of error that a user is meant to see, each one line: bad input, and a run that cannot go on."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Bad input. Its text is one line for the user; the command prints it and exits with code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class RunError(Exception):
    """A run that cannot go on: a full disk, numbers gone wrong, no memory. One line for the user; exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class MachineError(RunError):
    """The machine failed and not the run: a full disk, a folder that cannot be written. The same run may succeed later."""


class NoMemoryError(MachineError):
    """The device or the machine has no memory left."""


class UnavailableError(UserError):
    """The input asks for a device or for data that this machine does not have. The same input may be good later."""


class LauncherError(Exception):
    """A launcher that is not ours could not run its jobs. Its cause says why."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """The end of an error line: the nearest of the ``allowed`` names, or all of them when none is near."""
    options = sorted(str(option) for option in allowed)
    near = get_close_matches(str(name).lower(), [option.lower() for option in options], n=1, cutoff=0.6)
    if near:
        best = next(option for option in options if option.lower() == near[0])
        return f"did you mean {best}?" + (f" (allowed: {', '.join(options)})" if len(options) <= 16 else "")
    return f"allowed: {', '.join(options)}" if options else "nothing is allowed here"
