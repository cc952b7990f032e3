"""Parses a model's layer list from YAML: the words, their checked arguments, and the blocks that hold other layers.

There are two blocks. ``{repeat: 3, layers: [...]}`` stands for its layers three times. With ``shared: true``, the convolutions
and linear layers have the same weights each time. ``{residual: {layers: [...]}}`` adds its input to the output of its layers.
Blocks can hold blocks. This module knows neither shapes nor torch modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from mnist_lite.config.entry import Entry, parse_entry
from mnist_lite.errors import UserError
from mnist_lite.model.layers import LAYERS

MAX_LAYERS = 1_000


@dataclass(frozen=True, eq=False)
class LayerNode:
    """A layer, or a residual block with its layers. Repeats are written out."""

    entry: Entry
    block: str
    """The names of the blocks around the layer, such as ``body.2/residual``; empty outside of any block."""
    body: tuple[LayerNode, ...] = ()
    """The layers of a residual block; empty for a layer."""
    shares: LayerNode | None = None
    """The earlier node whose weights this one has, if it is a convolution, a linear layer or a projection."""


def repeat(times: int, layers: Any, name: str = "repeat", shared: bool = False) -> list[str]:
    """The block names of ``layers`` written ``times`` times: ``body.1``, ``body.2``, ..."""
    if not 1 <= times <= MAX_LAYERS:
        raise ValueError(f"times: {times} is out of range; expected 1 to {MAX_LAYERS}")
    return [f"{name}.{turn}" for turn in range(1, times + 1)]


def residual(layers: Any, name: str = "residual") -> list[str]:
    """The block name of a residual block."""
    return [name]


BLOCKS: dict[str, Callable[..., list[str]]] = {"repeat": repeat, "residual": residual}
VOCABULARY: dict[str, Callable[..., Any]] = {**LAYERS, **BLOCKS}


def parse_layers(items: Any, where: str = "model.layers") -> tuple[LayerNode, ...]:
    """The layers of ``items`` in order. ``where`` is the key of ``items`` in the config.

    Raises:
        UserError: a word that is not in the vocabulary, a wrong argument, an empty list, or more than ``MAX_LAYERS`` layers.
    """
    counter = count(1)

    def parse(items: Any, where: str, block: str) -> tuple[LayerNode, ...]:
        if not isinstance(items, list):
            raise UserError(f"{where}: a list of layers is expected")
        if not items:
            raise UserError(f"{where}: the list is empty; at least one layer is expected")
        nodes: list[LayerNode] = []
        for index, item in enumerate(items, 1):
            here = f"{where}: entry {index}"
            entry = parse_entry(item, VOCABULARY, here, supplied=("shape",))
            if entry.word not in BLOCKS:
                if next(counter) > MAX_LAYERS:
                    raise UserError(f"{where}: more than {MAX_LAYERS} layers")
                nodes.append(LayerNode(entry, block))
                continue
            try:
                names = BLOCKS[entry.word](**entry.arguments)
            except ValueError as error:
                raise UserError(f"{here} ({entry.word}).{error}") from error
            first: tuple[LayerNode, ...] = ()
            for name in names:
                inner = f"{block}/{name}" if block else name
                body = parse(entry.arguments["layers"], f"{here}.layers", inner)
                if first:
                    body = _share(body, first)
                elif entry.arguments.get("shared"):
                    first = body
                nodes += [LayerNode(entry, inner, body)] if entry.word == "residual" else body
        return tuple(nodes)

    return parse(items, where, "")


def _share(nodes: tuple[LayerNode, ...], first: tuple[LayerNode, ...]) -> tuple[LayerNode, ...]:
    """``nodes`` with the weights of the same nodes of the first time."""
    return tuple(
        replace(node, body=_share(node.body, earlier.body), shares=earlier.shares or earlier)
        for node, earlier in zip(nodes, first, strict=True)
    )
