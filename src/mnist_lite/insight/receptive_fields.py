"""Effective receptive fields: how much each pixel counts for the value in the middle of a map. And the picture of them.

From Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks" (2016). The weight of a pixel
is the size of the gradient of the value. Most of the weight is near the middle of the theoretical field.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mnist_lite import files
from mnist_lite.data.dataset import Dataset
from mnist_lite.data.split import balanced_indices
from mnist_lite.errors import RunError
from mnist_lite.insight.activations import layers_with_modules, watch
from mnist_lite.model.budget import describe_test_set
from mnist_lite.model.build import Layer, Network
from mnist_lite.reporting import field_plots
from mnist_lite.reporting.png import DrawingError

IMAGES = 100
"""The number of test images that the gradients are averaged over."""
SHARE = 0.9
"""The part of the weight that lies in the square which is called the effective field."""


def growing_layers(network: Network) -> list[Layer]:
    """The layers whose receptive field is larger than that of all layers before."""
    largest, found = 1, []
    for layer in network.layers:
        if layer.receptive_field > largest:
            largest = layer.receptive_field
            found.append(layer)
    return found


def pixel_weights(network: Network, layers: Sequence[Layer], inputs: torch.Tensor) -> list[torch.Tensor]:
    """For each of ``layers``, the weight of each pixel for the middle value of its map: ``(28, 28)`` float32 with the sum 1.

    The weight is the root of the mean, over images and channels, of the squared gradient of the value. One backward pass per
    layer is enough: the gradient of a sum over channels, with normal random factors, has the same mean square as the
    gradients of all channels together (Hutchinson's estimator).

    Args:
        network: A network on the CPU.
        layers: Rows of its layer table.
        inputs: Normalised images ``(N, 1, 28, 28)``. More images give less noise.
    """
    network = replace(network, module=copy.deepcopy(network.module).eval().requires_grad_(False))
    outputs: dict[int, torch.Tensor] = {}
    inputs = inputs.clone().requires_grad_(True)
    with watch(layers_with_modules(network), lambda layer, output: outputs.update({layer.number: output})):
        network.module(inputs)
    random = torch.Generator().manual_seed(0)
    weights = []
    for layer in layers:
        middle = outputs[layer.number]
        if middle.ndim == 4:
            middle = middle[:, :, layer.middle, layer.middle]
        factors = torch.randn(middle.shape, generator=random)
        (gradient,) = torch.autograd.grad((middle * factors).sum(), inputs, retain_graph=True)
        weight = gradient.square().mean((0, 1)).sqrt()
        weights.append(weight / weight.sum().clamp_min(1e-30))
    return weights


def effective_rows(weights: torch.Tensor, field: tuple[int, int]) -> tuple[int, int]:
    """The first and the last row of the smallest square around the middle of ``field`` that has ``SHARE`` of the weight.

    ``weights`` is ``(28, 28)`` with the sum 1. ``field`` has the first and the last row of the theoretical field. Columns are as
    rows.
    """
    first, last = field
    for inset in range((last - first) // 2, 0, -1):
        inner = slice(first + inset, last - inset + 1)
        if weights[inner, inner].sum() >= SHARE:
            return first + inset, last - inset
    return field


def write_picture(network: Network, described: str, data: Dataset, path: Path) -> None:
    """Draws the fields of ``network`` over a test digit of ``data`` into the file ``path``.

    ``described`` is for the title: the name of the network and where its weights come from.

    Raises:
        UserError: the folder of ``path`` is not usable.
        RunError: the picture cannot be drawn or written.
    """
    chosen = data.test.take(balanced_indices(data.test, min(IMAGES, len(data.test)), "data.test_limit"))
    layers = growing_layers(network)
    maps = pixel_weights(network, layers, data.inputs(chosen.images, torch.device("cpu")))
    panels = [
        field_plots.Panel(
            f"{layer.number}  {layer.text}",
            layer.receptive_field,
            field := layer.rows_of_image(layer.middle),
            effective_rows(weight, field),
            weight.tolist(),
        )
        for layer, weight in zip(layers, maps, strict=True)
    ]
    title = (
        f"Receptive fields of {described}, {network.parameters:,} parameters;\n"
        f"gradients averaged over {len(chosen)} of {describe_test_set(data.name, len(data.test))}"
    )
    try:
        content = field_plots.draw(panels, chosen.images[0, 0].tolist(), SHARE, title)
    except DrawingError as error:
        raise RunError(f"the picture was not drawn: {error}") from error
    files.write(path, content)
