from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mnist_lite.backends import matmul_conv


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "side"), [(1, 1), (3, 3), (3, 5), ((2, 3), 4)])
def test_the_product_is_the_convolution(kernel: int, side: int, bias: bool):
    torch.manual_seed(0)
    layer = nn.Conv2d(5, 7, kernel, bias=bias).double().to(memory_format=torch.channels_last)
    other = copy.deepcopy(layer)
    x = torch.randn(3, 5, side, side, dtype=torch.float64)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    result, expected = matmul_conv.matmul_conv(layer, a), other(b)
    assert torch.allclose(result, expected)
    weights = torch.randn_like(expected)
    (result * weights).sum().backward()
    (expected * weights).sum().backward()
    assert a.grad is not None and b.grad is not None
    assert torch.allclose(a.grad, b.grad)
    for p, q in zip(layer.parameters(), other.parameters(), strict=True):
        assert p.grad is not None and q.grad is not None
        assert torch.allclose(p.grad, q.grad)


@pytest.mark.parametrize(
    ("layer", "side", "faster"),
    [
        (nn.Conv2d(512, 1024, 3), 5, True),
        (nn.Conv2d(512, 1024, 3), 9, False),
        (nn.Conv2d(16, 16, 3), 5, False),
        (nn.Conv2d(512, 1024, 3, padding=1), 5, False),
        (nn.Conv2d(512, 1024, 3, stride=2), 5, False),
        (nn.Conv2d(1024, 1024, 3, groups=2), 5, False),
    ],
)
def test_the_product_is_used_only_where_it_is_faster(layer: nn.Conv2d, side: int, faster: bool):
    assert matmul_conv.is_faster(layer, torch.empty(2, layer.in_channels, side, side)) is faster


def test_a_whole_network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 512, 3), nn.ReLU(), nn.Conv2d(512, 256, 3), nn.ReLU(), nn.Flatten())
    x = torch.randn(2, 1, 7, 7)
    assert matmul_conv.is_faster(network[2], torch.empty(2, 512, 5, 5))  # type: ignore[arg-type]
    assert torch.allclose(matmul_conv.forward(network, x), network(x), atol=1e-5)
