"""The identity of a run: the parts of its config that change the result, each value written in one way.

Two configs describe the same run if these parts are equal. A sweep uses this to find the jobs that are done. A resume uses it to
check that a checkpoint belongs to the config.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mnist_lite.config.entry import parse_entry
from mnist_lite.config.schema import Config
from mnist_lite.config.signature import convert_types, defaults
from mnist_lite.errors import UserError

if TYPE_CHECKING:
    from mnist_lite.model.layer_list import LayerNode

IRRELEVANT_KEYS = (
    "name",
    "runs_dir",
    "resume",
    "device",
    "threads",
    "checkpoint",
    "sweep",
    "choices",
    "tensorboard",
    "budget",
    "data.root",
)
"""Keys that do not change the result: the place of a run, its name, and what is required of it."""


WORDS_WITH_SHARED_WEIGHTS = ("conv", "linear", "residual")
"""A residual block can have a convolution as its projection."""


def is_irrelevant(key: str) -> bool:
    """Whether ``key`` does not change the result of a run, such as ``threads``, ``budget.accuracy`` and ``data.root``."""
    return key in IRRELEVANT_KEYS or key.partition(".")[0] in IRRELEVANT_KEYS


def identity(config: Config) -> str:
    """Twelve hexadecimal digits: equal for two configs if, and only if, they describe the same run."""
    text = json.dumps(normalized_config(asdict(config)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def normalized_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of ``config`` (a ``Config`` as a dict) that change the result, as plain values.

    - Repeats of layers are written out. A layer that shares weights has the number of the first layer with them.
    - A setting such as ``model.width`` counts only through the layers that use it.
    - Arguments have the type of the signature: ``lr: 1`` and ``lr: 1.0`` are the same.
    - An argument that is equal to the default of its function is left out.

    A value that no signature allows stays as it is. The run itself reports it.
    """
    # these modules import torch, which --help and completion must not
    from mnist_lite.data.augment.pipeline import SUPPLIED, TRANSFORMS
    from mnist_lite.model.layer_list import parse_layers
    from mnist_lite.training.optimizer import optimizer_classes

    parts = {key: value for key, value in config.items() if key not in IRRELEVANT_KEYS}
    parts["data"] = {key: value for key, value in config["data"].items() if f"data.{key}" not in IRRELEVANT_KEYS}
    layers, transforms = config["model"].get("layers"), config["augment"].get("transforms")
    try:
        numbers: dict[LayerNode, int] = {}
        layers = [_layer(node, numbers) for node in parse_layers(layers)]
        entries = [parse_entry(item, TRANSFORMS, "augment.transforms", SUPPLIED) for item in transforms]
        transforms = [[entry.word, _arguments(TRANSFORMS[entry.word], entry.arguments)] for entry in entries]
    except UserError:
        pass
    parts["model"], parts["augment"] = {"layers": layers}, {"transforms": transforms}
    parts["optimizer"] = _class(config["optimizer"], optimizer_classes())
    parts["scheduler"] = _scheduler(config["scheduler"])
    return parts


def _layer(node: LayerNode, numbers: dict[LayerNode, int]) -> list[Any]:
    """The layer, and what it holds. ``numbers``: of the layers so far."""
    from mnist_lite.model.layers import LAYERS

    numbers[node] = len(numbers)
    shared = [numbers[node.shares]] if node.shares and node.entry.word in WORDS_WITH_SHARED_WEIGHTS else []
    if node.body:
        return [node.entry.word, [_layer(inner, numbers) for inner in node.body], *shared]
    return [node.entry.word, _arguments(LAYERS[node.entry.word], node.entry.arguments), *shared]


def _scheduler(config: Mapping[str, Any]) -> dict[str, Any]:
    from mnist_lite.training.schedule import scheduler_classes

    result = _class(config, scheduler_classes())
    if isinstance(config.get("schedulers"), list):
        result["schedulers"] = [
            _scheduler(part) if isinstance(part, Mapping) else part for part in config["schedulers"]
        ]
    return result


def _class(config: Mapping[str, Any], classes: Mapping[str, type]) -> dict[str, Any]:
    """The config of an optimizer or a scheduler, which has the name of a class and its arguments."""
    cls = classes.get(str(config.get("name")))
    values = {str(key): value for key, value in config.items()}
    return values if cls is None else _arguments(cls, values)


def _arguments(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in the types of the signature, without those that are equal to a default."""
    default = defaults(function)
    return {
        name: value
        for name, value in convert_types(function, values).items()
        # False == 0 in Python, but they are not the same argument
        if name not in default or (value, isinstance(value, bool)) != (default[name], isinstance(default[name], bool))
    }
