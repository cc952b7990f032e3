"""Runs a command that takes a config: Hydra composes it, the schema checks it, an expected error is one line and an exit code.

Exit codes: 0 done; 1 the work failed; 2 bad input; 128 + n stopped by signal n (130: Ctrl-C, 143: SIGTERM). The imports here do
not include torch, so that ``--help``, ``--cfg job`` and shell completion are fast.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import hydra

from mnist_lite import __version__
from mnist_lite.cli import help_text
from mnist_lite.cli.commands import COMMANDS, RECIPE_GROUPS
from mnist_lite.cli.hydra_task import Task
from mnist_lite.config.compose import composition_error, config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE, argument_parser, run_hydra
from mnist_lite.config.loader import CheckedLoader
from mnist_lite.config.overrides import not_text, quote_path
from mnist_lite.config.schema import Config
from mnist_lite.errors import ExpectedError, UserError, exit_code_of

C = TypeVar("C", bound=Config)


def run_command(name: str, schema: type[C], job: Callable[[C], int]) -> NoReturn:
    """Runs the command ``name`` with the arguments in ``sys.argv``, and exits.

    Hydra composes the command's config. ``job`` gets it as a ``schema`` object, and returns the exit code. A sweep (``-m``) exits
    with 1 if a job failed or misses its enforced budget, and with 2 if the config of every job is invalid.
    """
    sys.exit(exit_code_of(lambda: _run(name, Task(schema, job))))


def _run(name: str, task: Task[C]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors, instead of printing them
    _prepare_arguments(name, sys.argv)
    main = hydra.main(config_path=str(config_dir()), config_name=COMMANDS[name].config, **VERSION_BASE)(task)
    try:
        run_hydra(main, CheckedLoader)
    except ExpectedError:
        raise
    except Exception as error:
        if task.composed:
            raise
        raise composition_error(error) from error
    return task.exit_code


def _prepare_arguments(name: str, argv: list[str]) -> None:
    """Sorts ``argv`` in place: first the flags, then the overrides, with quoted paths. Answers ``--help`` and ``--version``.

    Hydra's parser does not accept an override after a flag after an override. Hydra's own help has no comments of ``conf/``.

    Raises:
        UserError: an unknown flag, an argument that is not text, a group that is null, or another way to name config folders.
    """
    for argument in argv[1:]:
        if re.search("[\ud800-\udfff]", argument):
            raise UserError(f"the argument {not_text(argument)}")
    if "--version" in argv[1:]:
        print(f"mnist-lite {__version__}")
        sys.exit(0)
    parser = argument_parser()

    def fail(message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")

    parser.error = fail  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(argv[1:])
    if arguments.help:
        own = [Path(arguments.config_dir)] if arguments.config_dir else []
        print(help_text.render(name, [config_dir(), *own]))
        sys.exit(0)
    if arguments.config_path:
        raise UserError("--config-path: our own files cannot be replaced; --config-dir adds a folder to them")
    flags = argv[1:]
    for override in arguments.overrides:
        flags.remove(override)
        group, _, value = override.partition("=")
        if not group.lstrip("+~"):
            raise UserError(f"{override!r} is not of the form key=value")
        if group.lstrip("+~") == "hydra.searchpath":
            raise UserError(f"{group}: --config-dir names the folder of your own config files")
        if group in RECIPE_GROUPS and value == "null":
            raise UserError(f"{group}: null is not a choice; name a file of the group, or leave {group}=... out")
    argv[1:] = [*flags, *map(quote_path, arguments.overrides)]
