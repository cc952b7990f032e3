"""The command that trains a run again: overrides that compose exactly its config from the shipped files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from mnist_lite.config.compose import compose_run
from mnist_lite.config.overrides import quoted
from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.insight.changes import compare_with_shipped, is_shipped
from mnist_lite.runner.identity import normalized_config

_WORD = re.compile(r"[A-Za-z_][\w./-]*")
_KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_OTHER_VALUES = ("null", "true", "false", "nan", "inf")
"""Words that Hydra does not read as text."""


def overrides_of(config: Mapping[str, Any]) -> list[str] | None:
    """Overrides with which ``mnist-lite train`` composes ``config``. None: no overrides do, or they could not be checked.

    They are checked: the config that they compose describes the same run. ``config`` may come from a stranger.
    """
    known = {spec.name for spec in fields(Config)}
    try:
        found = compare_with_shipped(config)
        if not all(_KEY.fullmatch(key) and key.partition(".")[0] in known for key in [*found.values, *found.added]):
            return None
        overrides = [
            *(f"{group}={name}" for group, name in found.choices.items() if is_shipped(group, name)),
            *(f"~{key}" for key in found.removed),
            *(f"{key}={_value(value)}" for key, value in found.values.items()),
            *(f"++{key}={_value(value)}" for key, value in found.added.items()),
        ]
        composed = asdict(compose_run(overrides))
        return overrides if _identity(composed) == _identity(config) else None
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _identity(config: Mapping[str, Any]) -> str:
    parts = {key: value for key, value in config.items() if key != "format"}
    return json.dumps(normalized_config(parts), sort_keys=True, default=str)


def _value(value: Any) -> str:
    """``value`` in the grammar of Hydra's overrides.

    Raises:
        ValueError: the grammar cannot express it.
    """
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) and value.lower() not in _OTHER_VALUES else quoted(value)
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    if isinstance(value, dict):
        if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in value):
            raise ValueError("a key that is no word")
        return f"{{{','.join(f'{key}:{_value(item)}' for key, item in value.items())}}}"
    return json.dumps(value, allow_nan=False)
