"""Networks and batches for the tests of the kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mnist_lite.model.build import build

SHAPE = (1, 28, 28)
HEAD: list[Any] = [{"conv": 10, "kernel": 3, "stride": 2}, "global_avg_pool"]


def network(layers: list[Any], seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    module = build({"layers": layers}).module
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
        elif isinstance(layer, nn.GroupNorm | nn.InstanceNorm2d) and layer.affine:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
        elif isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, -0.3, 0.3)
    return module


def batch(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(count, *SHAPE, generator=draws), torch.randint(0, 10, (count,), generator=draws)
