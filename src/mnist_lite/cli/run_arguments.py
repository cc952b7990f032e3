"""Command lines of the commands that take runs: ``mnist-lite evaluate runs/a latest key=value``.

These commands take no config of Hydra. An argument ``key=value`` with a known key is an option. All other arguments are names of
runs, or of other files that the command takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mnist_lite.cli.help_text import argument_parser
from mnist_lite.errors import UserError, did_you_mean

_OPTION = re.compile(r"[a-z_]+=")


@dataclass(frozen=True)
class Option:
    """An option ``key=value`` of a command."""

    default: str
    help: str
    choices: tuple[str, ...] = ()
    """The allowed values. Empty: any text."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of a command."""

    names: list[str]
    options: dict[str, str]
    """A value for each option of the command."""


def parse_arguments(
    command: str, arguments: list[str], names: str, options: Mapping[str, Option], minimum: int = 1
) -> Arguments:
    """Sorts ``arguments`` into names and options. Answers ``--help``.

    Args:
        command: The name of the command, a key of ``COMMANDS``.
        arguments: Those after the name of the command.
        names: What the names stand for, for the help and for messages: ``a run folder, a sweep, a pattern, or latest``.
        options: The options of the command by key.
        minimum: The smallest number of names.

    Raises:
        UserError: an unknown option or value, or too few names.
    """
    parser = argument_parser(command)
    parser.add_argument("names", nargs="*", metavar="RUN" if minimum else "[RUN]", help=names)
    for key, option in options.items():
        allowed = f" ({' | '.join(option.choices)})" if option.choices else ""
        parser.add_argument(f"{key}={option.default}", nargs="?", help=f"{option.help}{allowed}")
    if {"-h", "--help"} & set(arguments):
        parser.parse_args(["--help"])
    values = {key: option.default for key, option in options.items()}
    found: list[str] = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if argument.startswith("--"):
            raise UserError(f"{argument}: unknown flag; options have the form key=value (see --help)")
        if key in options and "=" in argument:
            if not value:  # such as a variable of the shell that is not set
                raise UserError(f"{key}: the value is empty; leave {key}= out for the default")
            if options[key].choices and value not in options[key].choices:
                raise UserError(f"{key}: {value!r} is not allowed; {did_you_mean(value, options[key].choices)}")
            values[key] = value
        elif _OPTION.match(argument) and options:
            raise UserError(f"{key}: unknown option; {did_you_mean(key, options)}")
        else:
            found.append(argument)
    if len(found) < minimum:
        raise UserError(f"{command}: expected {names}")
    return Arguments(found, values)
