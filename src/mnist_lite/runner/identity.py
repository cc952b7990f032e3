"""Which run a config describes: the parts that change the result, each value in one spelling.

Two configs describe the same run if these parts are equal. A sweep uses this to find out which jobs are done. A resume
uses it to check that a checkpoint belongs to the config.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mnist_lite.config.schema import Config
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
    "budget",
    "data.root",
)
"""Keys that do not change the result: where a run takes place, what it is called, and how it is judged."""


def is_irrelevant(key: str) -> bool:
    """Whether an override of ``key`` leaves the run the same: ``threads``, ``budget.accuracy``, ``data.root``."""
    return key in IRRELEVANT_KEYS or key.partition(".")[0] in IRRELEVANT_KEYS


def identity(config: Config) -> str:
    """Twelve hexadecimal digits. They are equal for two configs exactly if both describe the same run."""
    text = json.dumps(normalized_config(asdict(config)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def normalized_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of ``config`` (a ``Config`` as a dict) that change the result, as plain values.

    - Layers and augmentations are written out: knobs such as ``model.width`` count through the layers only.
    - Arguments have the type that the signature of their function asks for: ``lr: 1`` and ``lr: 1.0`` are the same.
    - An argument that is equal to the function's default is left out.

    A value that no signature allows stays as it is. The run itself reports it.
    """
    # These modules import torch. The command line imports this module, and must answer --help without torch.
    from mnist_lite.config.entry import parse_entry
    from mnist_lite.data.augment.pipeline import SUPPLIED, TRANSFORMS
    from mnist_lite.model.layer_list import parse_layers
    from mnist_lite.training.optimizer import optimizer_classes

    parts = {key: value for key, value in config.items() if key not in IRRELEVANT_KEYS}
    parts["data"] = {key: value for key, value in config["data"].items() if f"data.{key}" not in IRRELEVANT_KEYS}
    layers, transforms = config["model"].get("layers"), config["augment"].get("transforms")
    try:
        parts["model"] = {"layers": [_layer(node) for node in parse_layers(layers)]}
    except UserError:
        parts["model"] = {"layers": layers}
    try:
        entries = [parse_entry(item, TRANSFORMS, "augment.transforms", SUPPLIED) for item in transforms]
        parts["augment"] = {
            "transforms": [[e.word, _without_defaults(TRANSFORMS[e.word], e.arguments)] for e in entries]
        }
    except UserError:
        parts["augment"] = {"transforms": transforms}
    parts["optimizer"] = _one_spelling(config["optimizer"], optimizer_classes())
    parts["scheduler"] = _scheduler(config["scheduler"])
    return parts


def _layer(node: LayerNode) -> list[Any]:
    from mnist_lite.model.layers import LAYERS

    if node.body:
        return [node.entry.word, [_layer(inner) for inner in node.body]]
    return [node.entry.word, _without_defaults(LAYERS[node.entry.word], node.entry.arguments)]


def _scheduler(config: Mapping[str, Any]) -> dict[str, Any]:
    from mnist_lite.training.schedule import scheduler_classes

    spelled = _one_spelling(config, scheduler_classes())
    if isinstance(config.get("schedulers"), list):
        spelled["schedulers"] = [
            _scheduler(part) if isinstance(part, Mapping) else part for part in config["schedulers"]
        ]
    return spelled


def _one_spelling(config: Mapping[str, Any], classes: Mapping[str, type]) -> dict[str, Any]:
    from mnist_lite.config.signature import convert_types

    cls = classes.get(str(config.get("name")))
    values = {str(key): value for key, value in config.items()}
    return values if cls is None else _without_defaults(cls, convert_types(cls, values))


def _without_defaults(function: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from mnist_lite.config.signature import defaults

    default_of = defaults(function)
    return {
        name: value
        for name, value in arguments.items()
        # False == 0 in Python, but they are not the same argument
        if name not in default_of
        or value != default_of[name]
        or isinstance(value, bool) != isinstance(default_of[name], bool)
    }
