"""Overrides in Hydra's grammar, and commands for a user to paste into a shell."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from mnist_lite.errors import UserError

PATH_KEYS = ("resume", "sweep.dir", "runs_dir", "data.root", "hydra.sweep.dir")
_PLAIN_PATH = re.compile(r"[\w./-]*/[\w./-]*", re.ASCII)
"""Paths that Hydra reads as a text. It could read a name without a slash as a number."""


def key_of(override: str) -> str:
    """The key of ``override``, without Hydra's signs ``+``, ``++`` and ``~``."""
    return override.partition("=")[0].lstrip("+~")


def path_override(key: str, path: object) -> str:
    """``key='<path>'``. The quotes allow any name of a folder: with equals signs, commas, quotes or umlauts."""
    return f"{key}={quoted(str(path))}"


def quoted(text: str) -> str:
    """``text`` in quotes, for the value of an override."""
    # a backslash is special only before a quote: it is doubled there, and at the end, where our quote follows
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def user_path(key: str, text: object) -> Path:
    """The path that the user has written for ``key``. ``~`` at its start is the home folder of the user, ``~name`` of another.

    Raises:
        UserError: there is no such home folder, or no file can have this name on this machine.
    """
    try:
        path = Path(str(text)).expanduser()
        if "\0" in str(path):
            raise UserError(f"{key}: {text} has a zero byte, which no path can have")
        str(path).encode()  # a path is written into files, which are UTF-8
        os.fsencode(path)
    except RuntimeError as error:
        raise UserError(f"{key}: {text}: this user or its home folder is not known on this machine") from error
    except UnicodeEncodeError as error:
        raise UserError(f"{key}: {not_text(str(text))}") from error
    return path


def not_text(text: str) -> str:
    """The end of the message for a ``text`` from the system that has bytes which are no characters."""
    encoding = sys.getfilesystemencoding()
    advice = "" if encoding == "utf-8" else ", the encoding of this terminal (LANG); PYTHONUTF8=1 changes it to UTF-8"
    return f"{text} is not {encoding.upper()} text{advice}"


def quote_path(override: str) -> str:
    """``override``, with quotes around its value if it is a path that needs them and has none."""
    key, _, value = override.partition("=")
    if key not in PATH_KEYS or value in ("", "null") or value[0] in "'\"" or _PLAIN_PATH.fullmatch(value):
        return override
    return path_override(key, value)


def program(command: str) -> list[str]:
    """The first words of a shell command that runs ``command`` (``train``) with this Python.

    They are ``mnist-lite train`` if the shell finds that script, else ``python -m mnist_lite.train``. If the shell finds another
    ``python`` or none, the path of this Python stands in its place.
    """
    if _shell_finds("mnist-lite"):
        return ["mnist-lite", command]
    return ["python" if _shell_finds("python") else sys.executable, "-m", f"mnist_lite.{command.replace('-', '_')}"]


def train_command(arguments: Iterable[str]) -> str:
    """A shell command that trains with ``arguments``."""
    return shlex.join([*program("train"), *arguments])


def config_dir_flag() -> list[str]:
    """The flag ``--config-dir`` of this command and its folder. Empty: the command does not have it."""
    words = sys.argv[1:]
    for word, following in zip(words, [*words, ""][1:], strict=True):
        flag, _, folder = word.partition("=")
        if flag in ("--config-dir", "-cd"):
            return ["--config-dir", folder or following]
    return []


def restart_command(folder: Path) -> str:
    """A shell command that starts the sweep of this process again, in its ``folder``.

    The path needs no quotes for Hydra, because every command adds them: see ``quote_path``.
    """
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("sweep.dir=")]
    return train_command([*arguments, f"sweep.dir={folder}"])


def _shell_finds(script: str) -> bool:
    """True if the shell finds ``script``, and it is the one beside this Python."""
    path = shutil.which(script)
    return path is not None and Path(path).parent.absolute() == Path(sys.executable).parent.absolute()
