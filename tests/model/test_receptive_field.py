"""Receptive fields by brute force: which pixels change a value, for every value of every layer."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.model.build import INPUT_SHAPE, Network, build
from mnist_lite.model.layers import Residual
from tests.conftest import Compose

HEAD = ({"conv": 10, "kernel": 1}, "global_avg_pool")
ARCHITECTURES: dict[str, list[Any]] = {
    "plain": [{"conv": 2}, "relu", {"conv": 2, "kernel": 5}],
    "padding": [
        {"conv": 2, "padding": 1},
        {"conv": 2, "kernel": 5, "padding": 2},
        {"conv": 2, "kernel": 1, "padding": 3},
    ],
    "stride": [{"conv": 2, "stride": 2}, {"conv": 2, "kernel": 1, "stride": 3}, {"conv": 2, "padding": 1}],
    "skipped pixels": [{"conv": 2, "kernel": 1, "stride": 2}, {"conv": 2, "padding": 1}],
    "dilation": [{"conv": 2, "dilation": 3, "padding": 3}, {"max_pool": 2}, {"conv": 2, "dilation": 2}],
    "dilation with holes": [{"conv": 2, "dilation": 4, "padding": 6, "stride": 3}],
    "pools": [{"max_pool": 3, "stride": 2, "padding": 1}, {"conv": 2}, {"avg_pool": {"kernel": 2, "stride": 1}}],
    "a pool drops the rest": [{"conv": 2, "kernel": 4}, {"max_pool": 2}, {"max_pool": 5}],
    "residual": [{"residual": [{"conv": 2, "padding": 1}]}, {"residual": [{"conv": 2, "padding": 2, "dilation": 2}]}],
    "residual, strided": [
        {"conv": 2},
        {"residual": [{"conv": 3, "padding": 1, "stride": 2}, {"residual": [{"conv": 3, "padding": 1}]}]},
        {"avg_pool": 2},
    ],
    "even kernel": [{"residual": [{"conv": 2, "kernel": 2, "stride": 2}]}, {"conv": 2, "kernel": 4, "padding": 1}],
}


def outputs(network: Network, image: torch.Tensor) -> list[torch.Tensor]:
    """The output of each row of the layer table, in order. Every weight is positive, and max pools are average pools."""

    def run(sequence: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        for module in sequence:
            if isinstance(module, Residual):
                y = run(module.body, x)
                if module.projection is not None:
                    x = module.projection(x)
                    found.append(x)
                x = y + x
            else:
                pool = isinstance(module, nn.MaxPool2d)
                x = nn.AvgPool2d(module.kernel_size, module.stride, module.padding)(x) if pool else module(x)  # type: ignore[arg-type]
            found.append(x)
        return x

    found: list[torch.Tensor] = []
    module = network.module.double().eval()
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.5)  # so no path is closed, and no path cancels another
    run(module, image)
    return found[: len(network.layers)]


@pytest.mark.parametrize("layers", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_the_rows_of_every_value_by_gradients(layers):
    network = build({"layers": [*layers, *HEAD]})
    image = torch.ones(1, *INPUT_SHAPE, dtype=torch.float64, requires_grad=True)
    for row, output in zip(network.layers, outputs(network, image), strict=True):
        assert tuple(output.shape[1:]) == row.output and len(row.reach) == output.shape[-1]
        for index in range(output.shape[-1]):
            (gradient,) = torch.autograd.grad(output[0, 0, index].sum(), image, retain_graph=True)
            touched = gradient[0, 0].sum(1).nonzero().flatten().tolist()
            assert [r for r in range(28) if row.reach[index] >> r & 1] == touched, (row.text, index)
            (gradient,) = torch.autograd.grad(output[0, 0, :, index].sum(), image, retain_graph=True)
            assert gradient[0, 0].sum(0).nonzero().flatten().tolist() == touched  # columns are as rows
            if touched:
                assert row.rows_of_image(index) == (touched[0], touched[-1])


@pytest.mark.parametrize(
    "name", [name for name in ARCHITECTURES if "dilation" not in name]
)  # holes: no pixel at the edge
def test_side_and_jump_are_those_of_values_whose_field_is_inside_the_image(name):
    for row in build({"layers": [*ARCHITECTURES[name], *HEAD]}).layers[:-2]:
        fields = [row.rows_of_image(index) for index in range(len(row.reach))]
        inner = [(first, last) for first, last in fields if first > 0 and last < 27]
        assert all(last - first + 1 == row.receptive_field for first, last in inner[1:-1])
        assert all(second[0] - first[0] == row.jump for first, second in pairwise(inner[1:-1]))


def test_after_flatten_and_global_pooling_all_pixels_count():
    for tail in (HEAD, ("flatten", {"linear": 10})):
        last = build({"layers": [{"conv": 2}, {"conv": 2, "stride": 2}, *tail]}).layers[-1]
        assert (last.reach, last.rows_of_image(0)) == (((1 << 27) - 1,), (0, 26))  # the stride skips the last row


def test_bytes_of_an_output_are_those_of_the_tensor(composed: Compose):
    network = build(composed("model=era4").model)
    image = torch.zeros(1, *INPUT_SHAPE)
    for row, module in zip(network.layers, network.module, strict=False):
        image = module(image)
        assert row.output_bytes == image.nbytes == 4 * math.prod(row.output)
