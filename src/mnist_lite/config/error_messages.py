"""Turns an error of Hydra, OmegaConf or YAML into one line for the user."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mnist_lite.errors import did_you_mean

MAX_LINE_LENGTH = 400
OF_OUR_RESOLVER = "UserError raised while resolving interpolation: "
"""What OmegaConf writes before the message of an error of ours: an environment variable may not be read."""
RENAMED = {"compile": "use backend=auto, backend=torch (was compile=never) or backend=kernels (was compile=always)"}
"""Old names of keys, and what to write instead."""
EXTRA_OF_LAUNCHER = {"submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""The extra of this package that installs a launcher."""
AMBIGUOUS = "Ambiguous value for argument "
"""How Hydra's message begins for several values without ``-m``."""
NOT_A_LIST = "Can only enumerate CHOICE and RANGE sweeps"
"""How Hydra's message begins for an interval in a grid."""
TYPES = {"Integer": "a whole number", "Float": "a number", "bool": "true or false", "string": "a text"}
"""The types in OmegaConf's messages, and what to call them."""
CONFIG_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)
"""Errors of a config while it is composed. Their cause is in a file or an override, not in this program."""


def one_line(error: Exception) -> str:
    """The text of ``error`` for a user."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_file(error.missing_cfg_file, error.options)
    if isinstance(error, OverrideParseException):
        return _cut(_not_parsed(str(error.override), str(error)))
    if NOT_A_LIST in str(error):
        return "interval(...) is for a search: train -m with hydra/sweeper=optuna. A grid needs values: 0.1,0.2 or range(1,5)"
    if AMBIGUOUS in str(error):
        override = str(error).partition("\n")[0].removeprefix(AMBIGUOUS).strip(" '")
        key, _, values = override.partition("=")
        return _cut(
            f"{key}: {values} are several values: add -m to train one network for each, or write [{values}] for a list. "
            "A decimal number has a point, such as 0.1"
        )
    for cause in (error, error.__cause__):
        if isinstance(cause, OmegaConfBaseException):
            return _cut(explain(cause))
    return _cut(" ".join(str(error).split()) or type(error).__name__)


def _not_parsed(override: str, reason: str) -> str:
    """The line for an override that Hydra cannot read. ``reason`` is Hydra's message."""
    key, _, value = override.partition("=")
    found = re.search(r"while evaluating '.*': (.*)", reason)
    if not found:
        first = reason.splitlines()[0]
        detail = "" if first.startswith("Error parsing override") else f" ({first})"
        return f"{_cut(override)!r} is not of the form key=value{detail}"
    unknown = re.fullmatch(r"Unknown function '(.*)'", found[1])
    allowed = re.search(r"Available: (.*)", reason)
    if unknown and allowed:
        return f"{key}: no function {unknown[1]!r}; {did_you_mean(unknown[1], allowed[1].split(','))}"
    return f"{key}: {value}: {found[1]}"


def _wrong_type(key: str, message: str, value: object) -> str:
    """The line for a value of a wrong type. ``message`` is OmegaConf's."""
    if value is None:
        return f"{key}: null is not allowed"
    found = re.search(r"converted to (Integer|Float)|not a valid (bool)|list' to (string)|dict' to (string)", message)
    expected = next((TYPES[word] for word in found.groups() if word), "") if found else ""
    return f"{key}: {value!r} is not allowed; expected {expected}" if expected else f"{key}: {message}"


def _cut(text: str) -> str:
    return text if len(text) < MAX_LINE_LENGTH else f"{text[:MAX_LINE_LENGTH]}..."


def explain(error: OmegaConfBaseException) -> str:
    """One line for an error of OmegaConf: the key, the problem, and what is allowed."""
    key, kind = error.full_key or error.key, type(error).__name__
    if key in RENAMED:
        return f"{key}: this key has a new name; {RENAMED[key]}"
    if kind in ("ConfigKeyError", "ConfigAttributeError") and error.parent_node is not None:
        siblings = error.parent_node if isinstance(error.parent_node, DictConfig) else ()
        names = [str(name) for name in siblings if name not in ("hydra", "choices")]
        return f"{key}: unknown key; {did_you_mean(str(error.key), names)}"
    if kind == "MissingMandatoryValue":
        return f"{key}: missing; give it a value"
    first_line = str(error.msg or error).splitlines()[0].removeprefix(OF_OUR_RESOLVER)
    if kind == "ValidationError":
        return _wrong_type(key, first_line, getattr(error, "value", ""))
    return f"{key}: {first_line}" if key else first_line


def _missing_file(file: str, options: Sequence[str] | None) -> str:
    """The line for a config file that Hydra did not find. ``options`` are the files of its group; None: not of a group."""
    parts = file.split("/")
    depth = 2 if parts[0] == "hydra" else 1
    group, name = "/".join(parts[:depth]), "/".join(parts[depth:])
    if group == "hydra/launcher" and name in EXTRA_OF_LAUNCHER:
        return f'{group}: {name!r} is not installed; in the checkout: pip install -e ".[{EXTRA_OF_LAUNCHER[name]}]"'
    if not options:
        return f"no config file {file!r} (named by --config-name or by a defaults list)"
    stem = name.removesuffix(".yaml").removesuffix(".yml")
    advice = did_you_mean(stem, options)
    if "/" in name or (stem != name and not advice.startswith("did you mean")):
        return _path(group, name)
    return f"{group}: unknown choice {name!r}; {advice}"


def _path(group: str, given: str) -> str:
    """The line for a file that is named by its path. Hydra accepts only the name of a choice, and a flag for the folder."""
    file, depth = Path(given), group.count("/") + 1
    name = file.stem if file.suffix in (".yaml", ".yml") else file.name
    folder = file.parents[depth] if len(file.parents) > depth else None
    if group.startswith("hydra/"):
        advice = "only an installed one can be chosen; give its settings on the command line"
    elif folder is not None and file.parent == folder / group and (file.parent / f"{name}.yaml").is_file():
        advice = f"that folder is found with: --config-dir {shlex.quote(str(folder))} {group}={name}"
    else:
        advice = f"copy the file to mine/{group}/{name}.yaml, then: --config-dir mine {group}={name}"
    return f"{group}: {given!r} is a path, but the name of a choice is expected; {advice}"
