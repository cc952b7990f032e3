"""What a user sees of an error: one line, and an exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from mnist_lite.config.schema import explain
from mnist_lite.errors import RunError, UserError, did_you_mean

BAD_INPUT = 2
MAX_LINE_LENGTH = 400
EXTRA_OF_LAUNCHER = {"submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""Launchers that come with an extra of ours."""
USER_ERRORS = (UserError, HydraException, OmegaConfBaseException, yaml.YAMLError)
"""Errors of the user's making."""


def exit_code_of(work: Callable[[], int]) -> int:
    """The exit code of ``work``; errors that are nobody's fault but the user's or the machine's are printed as one line."""
    try:
        return work()
    except USER_ERRORS as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as signal:
        print(f"stopped by {str(signal) or 'SIGINT'}", file=sys.stderr)
        sys.exit(getattr(signal, "code", 130))


def one_line(error: Exception) -> str:
    """``error`` for a user."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing(error.missing_cfg_file, error.options)
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} is not of the form key=value ({str(error).splitlines()[0]})"
    for cause in (error, error.__cause__):
        if isinstance(cause, OmegaConfBaseException):
            return explain(cause)
    text = str(error) if len(str(error)) < MAX_LINE_LENGTH else str(error)[:MAX_LINE_LENGTH] + "..."
    return str(UserError(text or type(error).__name__))


def _missing(file: str, options: Sequence[str] | None) -> str:
    levels = 2 if file.startswith("hydra/") else 1
    words = file.split("/")
    group, name = "/".join(words[:levels]), "/".join(words[levels:])
    if group == "hydra/launcher" and name in EXTRA_OF_LAUNCHER:
        return f'{group}: {name!r} is not installed; in the checkout: pip install -e ".[{EXTRA_OF_LAUNCHER[name]}]"'
    if not options:
        return f"no config file {file!r} (named by --config-name or by a defaults list)"
    if "/" in name:
        return _path(group, name)
    nearest = did_you_mean(name.removesuffix(".yaml").removesuffix(".yml"), options)
    if name.endswith((".yaml", ".yml")) and not nearest.startswith("did you mean"):
        return _path(group, name)
    return f"{group}: no choice {name!r}; {nearest}"


def _path(group: str, given: str) -> str:
    """The line for a file that is named by its path. Hydra takes the name of a choice only, and a flag for the folder."""
    file = Path(given)
    name = file.stem if file.suffix in (".yaml", ".yml") else file.name
    folder = file.parents[group.count("/") + 1] if len(file.parents) > group.count("/") + 1 else None
    if folder is not None and file.parent == folder / group and (file.parent / f"{name}.yaml").is_file():
        advice = f"that folder is found with: --config-dir {shlex.quote(str(folder))} {group}={name}"
    else:
        advice = f"copy the file to mine/{group}/{name}.yaml, then: --config-dir mine {group}={name}"
    return f"{group}: {given!r} is a path, but the name of a choice is expected; {advice}"
