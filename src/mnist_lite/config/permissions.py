"""What a config file in the folder of ``--config-dir`` may set. It may be a stranger's folder.

Hydra's own settings can run code: callbacks, logging, environment variables, commands of a launcher. Paths can make us write
anywhere. So such a file may choose a sweeper and its values, and everything outside of ``hydra`` and ``PATH_KEYS``. The command
line may set all keys. The composed config is checked, not the text of the files: they have many ways to write a key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mnist_lite.config.overrides import PATH_KEYS
from mnist_lite.errors import UserError

READABLE_VARIABLES = ("MNIST_LITE_DATA", "USER")
"""The environment variables that ``${oc.env:...}`` can read: those of our files and of the launcher for Ray."""
ALLOWED = ("hydra.mode", *(f"hydra.sweeper.{key}" for key in ("params", "n_trials", "n_jobs", "seed")))
"""The keys below ``hydra`` that a file may set."""
SET_BY_HYDRA = (
    *("hydra.overrides", "hydra.runtime.choices", "hydra.runtime.config_sources"),
    *("hydra.job.override_dirname", "hydra.job.config_name"),
)
"""Keys that Hydra sets to other values with a user's folder. ``overrides`` is checked by itself."""
_SWEPT_KEY = re.compile(r"\+{0,2}(?!hydra\b)[A-Za-z]\w*([./]\w+)*")


def check_permissions(composed: DictConfig, trusted: DictConfig, overrides: Sequence[str]) -> None:
    """Refuses a config in which a file of the user's folder has set what only the command line may set.

    Args:
        composed: The config with the user's folder. Nothing in it is resolved.
        trusted: The config without it: our files, the same choice of launcher and sweeper, and the overrides of the command line
            for ``hydra`` and for paths.
        overrides: Those of the command line or of a job.

    Raises:
        UserError: names the key.
    """
    values, expected = (OmegaConf.to_container(config, resolve=False) for config in (composed, trusted))
    assert isinstance(values, dict) and isinstance(expected, dict)
    hydra = values["hydra"]
    for key in _differences(hydra, expected["hydra"], "hydra"):
        if not _is_below(key, (*ALLOWED, *SET_BY_HYDRA)):
            raise _refusal(key)
    if sorted(hydra["overrides"]["task"] + hydra["overrides"]["hydra"]) != sorted(overrides):
        raise _refusal("hydra.overrides")
    _check_sweeper(hydra["sweeper"], expected["hydra"]["sweeper"])
    for key in PATH_KEYS:
        if not _is_below(key, ("hydra",)) and _get(values, key) != _get(expected, key):
            raise _refusal(key)


def restrict_environment() -> None:
    """From now on ``${oc.env:NAME}`` reads the variables that our own files use, and no other: they may hold secrets."""
    OmegaConf.register_new_resolver("oc.env", _environment_variable, replace=True)


def _environment_variable(name: str, *default: Any) -> Any:
    if name not in READABLE_VARIABLES:
        raise UserError(f"${{oc.env:{name}}} is not allowed; a config reads only {', '.join(READABLE_VARIABLES)}")
    if name not in os.environ and not default:
        raise UserError(f"the environment variable {name} is not set")
    return os.environ.get(name, *default)


def _refusal(key: str) -> UserError:
    return UserError(f"{key}: a config file in --config-dir may not set this key; give it on the command line")


def _differences(actual: Any, expected: Any, key: str) -> Iterator[str]:
    """The keys whose values differ. If a key is missing on one side, it is named and not the keys below it."""
    if isinstance(actual, dict) and isinstance(expected, dict):
        for name in dict.fromkeys([*expected, *actual]):
            if name in actual and name in expected:
                yield from _differences(actual[name], expected[name], f"{key}.{name}")
            else:
                yield f"{key}.{name}"
    elif actual != expected:
        yield key


def _is_below(key: str, parents: Sequence[str]) -> bool:
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def _check_sweeper(sweeper: Any, expected: Any) -> None:
    """Checks the settings of the sweeper. They become overrides of its jobs, and Hydra instantiates ``_target_`` inside them."""
    if not isinstance(sweeper, dict) or sweeper == expected:
        return
    settings = {f"hydra.sweeper.{key}": value for key, value in sweeper.items() if value != expected.get(key)}
    params = settings.pop("hydra.sweeper.params", None)
    if params is not None and not isinstance(params, dict):
        raise UserError("hydra.sweeper.params: a mapping of keys to values is expected")
    for key, value in (params or {}).items():
        settings[f"hydra.sweeper.params: {key}"] = value
        if not _SWEPT_KEY.fullmatch(str(key)) or str(key).lstrip("+") in PATH_KEYS:
            raise _refusal(f"hydra.sweeper.params: {key}")
    for key, value in settings.items():
        if not isinstance(value, str | int | float | None) or "${" in str(value):
            raise UserError(f"{key}: a config file in --config-dir may give a text or a number, and no interpolation")


def _get(values: Any, key: str) -> Any:
    """The value of ``key``. An interpolation above it is returned in its place. None: there is no mapping that could have it."""
    for name in key.split("."):
        if not isinstance(values, dict):
            return values if isinstance(values, str) else None
        values = values.get(name)
    return values
