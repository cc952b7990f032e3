"""What the layers of a network give for images: feature maps, and the units that are always zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from mnist_lite.insight.predictions import predict_with_torch
from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.model.build import Layer, Network
from mnist_lite.model.layers import Residual

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.PReLU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Softplus),
    *(nn.Tanh, nn.Sigmoid),
)
"""The activation functions of the vocabulary in ``model/layers.py``."""


@dataclass(frozen=True)
class LayerActivity:
    """How often the outputs of an activation function are zero, over a set of images."""

    number: int
    """The number of the layer in the layer table."""
    text: str
    """The text of the layer in the layer table."""
    units: int
    """Channels of a map, or values after ``flatten``."""
    dead: int
    """Units that are zero everywhere in all images. They do not help the network."""
    zeros: float
    """The share of all outputs that are zero, in 0..1."""


def layers_with_modules(network: Network) -> list[tuple[Layer, nn.Module]]:
    """The rows of the layer table with their modules."""
    return list(
        zip(network.layers, _in_order(network.module), strict=False)
    )  # the last module may be a Flatten without row


def predict_and_count(run: SavedRun, images: torch.Tensor) -> tuple[torch.Tensor, tuple[LayerActivity, ...]]:
    """Logits ``(N, 10)`` float32 for ``images`` ``(N, 1, 28, 28)`` uint8, and the activity of each activation function."""
    counted = [(layer, module) for layer, module in layers_with_modules(run.network) if isinstance(module, ACTIVATIONS)]
    zeros = {layer.number: torch.zeros(layer.output[0], dtype=torch.int64) for layer, _ in counted}

    def count(layer: Layer, output: torch.Tensor) -> None:
        zeros[layer.number] += (output == 0).transpose(0, 1).flatten(1).sum(1)

    with watch(counted, count):
        logits = predict_with_torch(run, images)
    return logits, tuple(_activity(layer, zeros[layer.number], len(images)) for layer, _ in counted)


def feature_maps(run: SavedRun, image: torch.Tensor) -> list[tuple[Layer, torch.Tensor]]:
    """The output ``(C, H, W)`` or ``(C,)`` of each layer for one ``image`` ``(1, 28, 28)`` uint8, in the order of the table."""
    layers = layers_with_modules(run.network)
    outputs: dict[int, torch.Tensor] = {}

    def keep(layer: Layer, output: torch.Tensor) -> None:
        outputs[layer.number] = output[0]

    with watch(layers, keep):
        predict_with_torch(run, image[None])
    return [(layer, outputs[layer.number]) for layer, _ in layers]


@contextmanager
def watch(layers: Sequence[tuple[Layer, nn.Module]], see: Callable[[Layer, torch.Tensor], None]) -> Iterator[None]:
    """Inside ``with watch(...):``, each output ``(N, ...)`` of each module in ``layers`` is given to ``see``, with its row."""
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, layer=layer: see(layer, output))
        for layer, module in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _activity(layer: Layer, zeros: torch.Tensor, images: int) -> LayerActivity:
    """``zeros`` ``(units,)``: the number of zeros of each unit in all ``images``."""
    values_per_unit = images * math.prod(layer.output[1:])
    return LayerActivity(
        layer.number,
        layer.text,
        len(zeros),
        int((zeros == values_per_unit).sum()),
        float(zeros.sum()) / (values_per_unit * len(zeros)),
    )


def _in_order(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that have a row in the layer table, in its order. ``add`` comes after the layers of its block."""
    for child in module.children():
        if isinstance(child, Residual):
            yield from _in_order(child.body)
            if child.projection is not None:
                yield child.projection
        yield child
