"""What was changed in a run: the overrides that turn the shipped recipe, or the defaults, into the config of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from mnist_lite.config.compose import compose_shipped, config_dir
from mnist_lite.config.error_messages import RENAMED
from mnist_lite.errors import UserError
from mnist_lite.runner.identity import is_irrelevant

GROUPS = ("experiment", "model", "data", "augment", "optimizer", "scheduler")
"""The groups of files that make up a recipe. The first one chooses files of the others."""
HIDDEN = ("format", *RENAMED)
"""Keys that no user sets."""
MAX_VALUE_LENGTH = 40
_INTERPOLATION = re.compile(r"\$\{([\w.]+)\}")


def changes(config: Mapping[str, Any]) -> list[str]:
    """The overrides that make ``config`` from the shipped files: ``["experiment=era4", "optimizer.lr=0.03", "seed=2"]``.

    Keys that do not change the result are left out, such as ``threads``. So are values that follow from another value: with
    ``scheduler=onecycle``, ``scheduler.max_lr`` is ``optimizer.lr``. A file that is not shipped is named, and its values are
    compared with those of the default file. ``config`` may come from a stranger.
    """
    chosen = _chosen(config)
    try:
        found = compare_with_shipped(config)
    except UserError:  # files that do not fit together
        return [f"{group}={name}" for group, name in chosen.items()]
    return [f"{key}={as_value(value)}" for key, value in {**found.choices, **found.values, **found.added}.items()]


class Difference(NamedTuple):
    """What turns the shipped files into a config."""

    choices: dict[str, str]
    """Files by group. They may be files that are not shipped."""
    values: dict[str, Any]
    """Values of keys that the shipped files have."""
    added: dict[str, Any]
    """Values of other keys."""
    removed: list[str]
    """Keys of the shipped files that the config does not have."""


def compare_with_shipped(config: Mapping[str, Any]) -> Difference:
    """What turns the shipped files into ``config``. A file that is not shipped is replaced by the default file.

    Raises:
        UserError: the files do not fit together.
    """
    chosen = _chosen(config)
    shipped = {group: name for group, name in chosen.items() if is_shipped(group, name)}
    first = ("experiment", shipped["experiment"]) if "experiment" in shipped else None
    _, usual = _recipe(first)
    changed = {group: name for group, name in chosen.items() if name != usual.get(group)}
    recipe, _ = _recipe(first, *((group, name) for group, name in changed.items() if group in shipped))
    original, own = dict(leaves(recipe)), {key: value for key, value in leaves(config) if not _is_hidden(key)}
    return Difference(
        {**dict([first] if first else []), **changed},
        {key: own[key] for key in own if key in original and _resolved(original[key], config) != own[key]},
        {key: own[key] for key in own if key not in original},
        [key for key in original if key not in own and not _is_hidden(key)],
    )


def is_shipped(group: str, name: str) -> bool:
    """Whether ``conf/`` has the file ``name`` in the folder ``group``."""
    return re.fullmatch(r"\w+", name) is not None and (config_dir() / group / f"{name}.yaml").is_file()


def leaves(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested mappings with their keys: ``("optimizer.lr", 0.01)``. A list is a value."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def as_value(value: Any) -> str:
    """``value`` as it is typed on the command line. A long one is cut."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = text.replace('"', "")
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}..."


def _is_hidden(key: str) -> bool:
    return is_irrelevant(key) or key in HIDDEN or key.startswith("model.budget")


def _chosen(config: Mapping[str, Any]) -> dict[str, str]:
    stored = config.get("choices")
    return {group: str(name) for group in GROUPS if isinstance(stored, Mapping) and (name := stored.get(group))}


@cache
def _recipe(*choices: tuple[str, str] | None) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The config with these choices of files, and the choices in all groups."""
    return compose_shipped([f"{group}={name}" for group, name in filter(None, choices)])


def _resolved(value: Any, config: Mapping[str, Any]) -> Any:
    """``value`` of a recipe, with each interpolation such as ``${optimizer.lr}`` replaced by the value in ``config``."""
    if isinstance(value, str) and (match := _INTERPOLATION.fullmatch(value)):
        node: Any = config
        for key in match[1].split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        return node
    if isinstance(value, list):
        return [_resolved(item, config) for item in value]
    if isinstance(value, dict):
        return {key: _resolved(item, config) for key, item in value.items()}
    return value
