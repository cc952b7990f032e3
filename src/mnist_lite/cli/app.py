"""What all commands share: Hydra composes the config, the schema checks it, errors become one line and an exit code.

Exit codes: 0 done, 1 the work failed, 2 bad input, 128 + n stopped by signal n (130: Ctrl-C, 143: SIGTERM). Nothing here or
above imports torch, so that ``--help``, ``--cfg job`` and completion answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import hydra
from hydra._internal.utils import get_args_parser

from mnist_lite.cli import help_text
from mnist_lite.cli.hydra_task import Task
from mnist_lite.config.error_messages import BAD_INPUT, exit_code_of, one_line
from mnist_lite.config.hydra_versions import VERSION_BASE, run_hydra, starting_hydra
from mnist_lite.config.overrides import quote_path
from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError

C = TypeVar("C", bound=Config)
GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "experiment")


def config_dir() -> Path:
    """The folder of the shipped configs: inside the package when installed from a wheel, else at the top of the checkout."""
    here = Path(__file__).resolve().parents[1]
    return here / "conf" if (here / "conf").is_dir() else here.parents[1] / "conf"


def run_command(config_name: str, schema: type[C], job: Callable[[C], int]) -> NoReturn:
    """Composes ``config_name`` with the command line's overrides, runs ``job`` on it, and exits.

    The exit code of a sweep (``-m``) is 1 if a job failed or does not meet its enforced budget, and 2 if every job was refused.
    """
    task = Task(schema, job)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets Hydra's errors through to us instead of printing and exiting 1
    codes = [exit_code_of(lambda: _put_flags_first(sys.argv, config_name))]
    if max(codes):
        sys.exit(max(codes))
    main = hydra.main(config_path=str(config_dir()), config_name=config_name, **VERSION_BASE)(task)
    try:
        codes.append(exit_code_of(lambda: run_hydra(main) or 0))
    except Exception as error:
        if task.composed:
            raise
        # From composing: a file that is not UTF-8, lists that hold themselves, a group set to null.
        print(f"error: the config cannot be composed: {one_line(error)}", file=sys.stderr)
        codes.append(BAD_INPUT)
    sys.exit(max(codes + task.codes))


def _put_flags_first(argv: list[str], config_name: str) -> int:
    """Sorts ``argv`` in place: flags, then overrides. Hydra's parser refuses an override after a flag after an override.

    ``--help`` is answered here, because Hydra's own help shows neither the comments nor what this command does.
    """
    with starting_hydra():
        parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")

    parser.error = refuse  # type: ignore[method-assign]
    given = parser.parse_intermixed_args(argv[1:])
    if given.help:
        folders = [config_dir(), *([Path(given.config_dir)] if given.config_dir else [])]
        print(help_text.render(help_text.COMMANDS[config_name], folders))
        sys.exit(0)
    overrides = given.overrides
    flags = argv[1:]
    for override in overrides:
        flags.remove(override)
    for override in overrides:
        group, _, value = override.partition("=")
        if group in GROUPS and value == "null":
            raise UserError(f"{group}: null is not a choice; name a file of the group, or leave {group}=... out")
    argv[1:] = [*flags, *(quote_path(override) for override in overrides)]
    return 0
