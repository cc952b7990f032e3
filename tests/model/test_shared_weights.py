"""Repeats with shared weights, against modules that are written by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.errors import UserError
from mnist_lite.model.build import build

BLOCK: list[Any] = [
    {"residual": {"layers": [{"conv": 6, "kernel": 3, "padding": 1, "bias": True}, "batch_norm"]}},
    "relu",
]
HEAD: list[Any] = [{"conv": 10, "kernel": 1}, "global_avg_pool"]
LAYERS: list[Any] = [{"conv": 6}, {"repeat": 2, "shared": True, "layers": [*BLOCK, {"max_pool": 2}]}, *HEAD]
NESTED: list[Any] = [
    {"conv": 6},
    {"repeat": 2, "shared": True, "layers": [{"repeat": 2, "shared": True, "layers": BLOCK}, {"max_pool": 2}]},
    *HEAD,
]


class ByHand(nn.Module):
    """The networks above as a PyTorch user writes them: one convolution, ``uses`` norms."""

    def __init__(self, uses: int, pool_every: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, bias=False)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6) for _ in range(uses))
        self.head = nn.Conv2d(6, 10, 1, bias=False)
        self.pool_every = pool_every

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for turn, norm in enumerate(self.norms, 1):
            x = torch.relu(x + norm(self.conv(x)))
            x = F.max_pool2d(x, 2) if turn % self.pool_every == 0 else x
        logits: torch.Tensor = self.head(x).mean((2, 3))
        return logits


def by_shape(parameter: nn.Parameter) -> tuple[int, ...]:
    """Both networks use the parameters of a shape in the same order, and only the bias and the norms have the same shape."""
    return tuple(parameter.shape)


@pytest.mark.parametrize(("layers", "uses", "pool_every"), [(LAYERS, 2, 1), (NESTED, 4, 2)])
@pytest.mark.parametrize("backend", ["torch", "kernels"])
def test_gradients_are_those_of_one_convolution_that_is_used_several_times(
    layers: list[Any], uses: int, pool_every: int, backend: str
):
    torch.manual_seed(0)
    ours, by_hand = build({"layers": layers}).module, ByHand(uses, pool_every)
    pairs = dict(zip(sorted(ours.parameters(), key=by_shape), sorted(by_hand.parameters(), key=by_shape), strict=True))
    for target, source in pairs.items():
        source.data.copy_(target.data)
    images, labels = torch.randn(37, 1, 28, 28), torch.randint(0, 10, (37,))
    F.cross_entropy(by_hand.double()(images.double()), labels).backward()
    if backend == "kernels":
        KernelBackend(ours, (1, 28, 28), 0.0, 2).gradients(images, labels, 0)
    else:
        F.cross_entropy(ours(images), labels).backward()
    for found, expected in pairs.items():
        assert found.grad is not None and expected.grad is not None
        assert torch.allclose(found.grad.double(), expected.grad, rtol=1e-4, atol=1e-5), tuple(found.shape)


def test_shared_weights_count_once_and_the_table_names_their_layer():
    network = build({"layers": LAYERS})
    rows = [(row.number, row.text, row.block, row.parameters) for row in network.layers if row.kind == "Conv2d"]
    assert rows == [
        (1, "conv 6", "", 54),
        (2, "conv 6 kernel=3 padding=1 bias=True", "repeat.1/residual", 6 * 54 + 6),
        (7, "conv 6 kernel=3 padding=1 bias=True (weights of 2)", "repeat.2/residual", 0),
        (12, "conv 10 kernel=1", "", 60),
    ]
    assert network.parameters == 54 + 330 + 2 * 12 + 60 == sum(p.numel() for p in network.module.parameters())


def test_a_projection_is_shared():
    down = {"residual": {"layers": [{"conv": 6, "padding": 1, "stride": 2}]}}
    network = build({"layers": [{"conv": 6}, {"repeat": 2, "shared": True, "layers": [down]}, *HEAD]})
    projections = [(row.text, row.parameters) for row in network.layers if row.text.startswith("projection")]
    assert projections == [("projection 6 stride=2", 36), ("projection 6 stride=2 (weights of 3)", 0)]


def test_without_shared_each_time_has_its_own_weights():
    layers = [{"conv": 6}, {"repeat": 2, "layers": BLOCK}, *HEAD]
    assert build({"layers": layers}).parameters == 54 + 2 * (330 + 12) + 60


def test_weights_of_another_shape_cannot_be_shared():
    with pytest.raises(UserError) as error:
        build({"layers": [{"repeat": 2, "shared": True, "layers": [{"conv": 6}]}, *HEAD]})
    assert str(error.value) == (
        "model.layers: layer 2 (conv 6) cannot share the weights of layer 1: they are (6, 1, 3, 3), "
        "and with its input it needs (6, 6, 3, 3)"
    )
