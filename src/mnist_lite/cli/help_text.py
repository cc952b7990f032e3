"""The text of ``--help``: of ``mnist-lite``, and of each command.

The comments in ``conf/`` are the only source of what a file or a key means. The first comment line of a file describes the file.
The comment beside a key describes the key. This module imports neither Hydra nor torch.
"""

from __future__ import annotations

import re
import textwrap
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_lite.cli.commands import COMMANDS
from mnist_lite.config.overrides import program
from mnist_lite.config.yaml_file import is_ignored, read_config_file
from mnist_lite.errors import UserError

WIDTH = 80
COMMENT_COLUMN = 30
"""The column at which the comments of keys start."""
NOT_FOR_USERS = ("defaults", "hydra")
"""Blocks of a config file that select files and configure Hydra."""
_KEY = re.compile(r"( *)(\w+): *([^#]*?) *(?:# ?(.*))?$")


def overview() -> str:
    """The help of ``mnist-lite`` alone: the commands, one per line."""
    width = max(map(len, COMMANDS))
    lines = ["usage: mnist-lite <command> [<argument> ...]", "", "commands:"]
    lines += [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "Help for one command: mnist-lite <command> --help", "The version: mnist-lite --version"]
    return "\n".join(lines)


def render(name: str, folders: Sequence[Path]) -> str:
    """The help of the command ``name``, which takes a config.

    ``folders`` are the shipped ``conf/`` and, with ``--config-dir``, the user's folder.
    """
    command = COMMANDS[name]
    lines = [f"usage: {_typed(name)} [<flag> ...] [<key>=<value> ...]", "", *_description(name), "", *_examples(name)]
    for group in command.groups:
        files = dict(item for folder in folders for item in choices(folder / group))
        width = max(map(len, files))
        lines += ["", f"{group}=<name>", *(f"  {name:<{width}}  {text}".rstrip() for name, text in files.items())]
    lines += ["", "<key>=<value>, with the defaults:"]
    for file, prefix in command.keys:
        lines += _keys((folders[0] / file).read_text(encoding="utf-8"), prefix)
    return "\n".join([*lines, "", *_wrapped(command.notes)])


def argument_parser(name: str) -> ArgumentParser:
    """A parser for the command ``name``, which takes no config. Its help has the command's description and examples."""
    return ArgumentParser(
        _typed(name),
        description="\n".join(_description(name)),
        epilog="\n".join(_examples(name)),
        formatter_class=RawDescriptionHelpFormatter,
    )


def choices(group: Path) -> Iterator[tuple[str, str]]:
    """The name and the first comment line of every file in the folder ``group``."""
    for path in sorted(group.glob("*.yaml")):
        if is_ignored(path):
            continue
        try:
            lines = read_config_file(path, group).splitlines()
        except UserError as error:  # the help says why this file cannot be chosen
            lines = [f"# {str(error).removeprefix(f'{path}: ')}"]
        comments = [line.lstrip("# ") for line in lines if line.startswith("#") and not line.startswith("# @package")]
        yield path.stem, comments[0] if comments else ""


def _typed(name: str) -> str:
    """What a user types to run the command ``name``."""
    words = program(name)
    return " ".join(words if words[0] == "mnist-lite" else ["python", *words[1:]])


def _description(name: str) -> list[str]:
    return _wrapped(f"{COMMANDS[name].summary} {COMMANDS[name].details}")


def _examples(name: str) -> list[str]:
    return ["examples:", *(f"  {_typed(name)} {arguments}" for arguments in COMMANDS[name].examples)]


def _keys(text: str, prefix: str) -> Iterator[str]:
    """Help lines for the keys of a config file, with their values and comments."""
    parent, skipped, keys = "", False, list[tuple[str, str]]()
    for line in text.splitlines()[1:]:  # the first line describes the file
        match = _KEY.match(line)
        if match and not line.startswith("#"):
            indent, key, value, comment = match.groups()
            if not indent:
                parent, skipped = "", key in NOT_FOR_USERS
            if skipped or (prefix and key == "name"):  # the choice of the file sets the name
                continue
            shown = f"={value}" if value and not value.startswith("${") else ""  # --cfg job shows interpolated values
            if not indent and not value:
                parent, shown = f"{key}.", ".*"
            keys.append((f"{prefix}{parent if indent else ''}{key}{shown}", comment or ""))
        elif line.lstrip().startswith("#") and keys and not skipped:  # the comment continues
            keys[-1] = (keys[-1][0], f"{keys[-1][1]} {line.lstrip('# ')}")
    for key, comment in keys:
        yield from _key_lines(f"  {key}", comment)


def _key_lines(key: str, comment: str) -> list[str]:
    """The key, and the comment in its column: beside the key if the key is short, else below it."""
    lines = _wrapped(comment, " " * COMMENT_COLUMN)
    if lines and len(key) < COMMENT_COLUMN - 1:
        return [key + lines[0][len(key) :], *lines[1:]]
    return [key, *lines]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
