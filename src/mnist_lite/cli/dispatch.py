"""``mnist-lite <command>``: finds the command that the first argument names, and runs its module."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from mnist_lite import __version__
from mnist_lite.cli.commands import COMMANDS
from mnist_lite.cli.help_text import overview
from mnist_lite.errors import UserError, did_you_mean


def run(name: str, arguments: Sequence[str]) -> None:
    """Runs the command ``name``, as ``python -m mnist_lite.<name>`` does."""
    sys.argv = [f"mnist-lite {name}", *arguments]
    import_module(f"mnist_lite.{name}").main()


def command_name(arguments: Sequence[str]) -> str:
    """The name of the command that ``arguments`` start with. It is a key of ``COMMANDS``.

    Without a command, and for ``--help`` and ``--version``, the answer is printed and the process ends.
    """
    name = arguments[0] if arguments else "--help"
    if (module := name.replace("-", "_")) in COMMANDS:
        return module
    if name in ("-h", "--help", "--version"):
        print(f"mnist-lite {__version__}" if name == "--version" else overview())
        sys.exit(0)
    print(f"error: unknown command {name!r}; {did_you_mean(name, COMMANDS)}", file=sys.stderr)
    sys.exit(UserError.exit_code)
