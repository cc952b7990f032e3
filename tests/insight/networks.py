"""Saved runs with random weights, for tests that need no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.model.build import build


def random_run(layers: list[Any], data: str = "digits") -> SavedRun:
    """A run with a network of ``layers``. Its weights and its running statistics are random, and always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build({"layers": layers})
        with torch.no_grad():
            for name, tensor in network.module.state_dict().items():
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 2)
                elif tensor.is_floating_point() and tensor.ndim == 1:  # biases, means, and weights of norms
                    tensor.normal_()
    network.module.requires_grad_(False).eval()
    record: Any = {"name": data, "train": 1437, "test": 360, "holdout": 0, "mean": 0.13, "std": 0.31}
    return SavedRun(Path("runs/random"), {"name": "random"}, network, record, 1, None)


def random_images(count: int, seed: int = 0) -> torch.Tensor:
    """``(count, 1, 28, 28)`` uint8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
