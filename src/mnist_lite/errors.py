"""The errors that a user sees, the exit codes of the commands, and "did you mean" (``did_you_mean``).

An error of these classes is not a bug. The command prints it as one line. Any other exception is a bug: it keeps its traceback,
and the exit code is 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib.util import find_spec

NOT_PRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, which a terminal obeys; not newline and tab
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators; marks that change the direction of writing
    "\ud800-\udfff]"  # half of a surrogate pair, or a byte that was not UTF-8: it cannot be encoded
)


def printable(text: str) -> str:
    r"""``text`` for a terminal or a log: characters that a terminal may obey, or that cannot be encoded, are escaped.

    ``\x1b`` stands for the escape character. Newlines and tabs stay as they are.
    """
    return NOT_PRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ExpectedError(Exception):
    """An error that is not a bug. Its text is one printable line for the user."""

    exit_code: int

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(printable(message).split()))


class UserError(ExpectedError):
    """Bad input: a config, a file or a command line."""

    exit_code = 2


class RunError(ExpectedError):
    """A run that cannot continue: a full disk, a loss that is not finite, no memory."""

    exit_code = 1


class MachineError(RunError):
    """The machine failed, not the run: a full disk, a folder that cannot be written. The same run may succeed later."""


class NoMemoryError(MachineError):
    """The device or the machine has no memory left."""


class UnavailableError(UserError):
    """The input asks for a device or for data that this machine does not have. The same input may work later."""


class LauncherError(Exception):
    """A launcher of another package could not run its jobs. ``__cause__`` is the launcher's own error."""


def exit_code_of(work: Callable[[], int]) -> int:
    """Calls ``work`` and returns its exit code. After an expected error it prints one line and returns the error's code.

    Raises:
        SystemExit: the user or the system has stopped the process. The code is 128 plus the number of the signal.
    """
    try:
        return work()
    except ExpectedError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as signal:
        print(f"stopped by {str(signal) or 'SIGINT'}", file=sys.stderr)
        sys.exit(getattr(signal, "code", 130))


def require_packages(what: str, packages: Iterable[str], extra: str) -> None:
    """Checks that the packages of an ``extra`` of pyproject.toml are installed, without importing them. ``what`` needs them.

    Raises:
        UserError: a package is missing. The line says what to install.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise UserError(
            f'{what} needs {" and ".join(missing)}, which {verb} not installed; in the checkout: pip install -e ".[{extra}]"'
        )


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """The end of an error line: the ``allowed`` name that is most like ``name``, or all of them if none is like it."""
    options = sorted(str(option) for option in allowed)
    near = get_close_matches(str(name).lower(), [option.lower() for option in options], n=1, cutoff=0.6)
    if near:
        best = next(option for option in options if option.lower() == near[0])
        return f"did you mean {best}?" + (f" (allowed: {', '.join(options)})" if len(options) <= 16 else "")
    return f"allowed: {', '.join(options)}" if options else "there are no allowed names"
