"""Logits by the kernels against torch's modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.kernels.build import compiler_command
from mnist_lite.insight import predictions
from mnist_lite.insight.predictions import predict, predict_with_torch
from tests.insight.networks import random_images, random_run

PLAIN: list[Any] = [{"conv": 4}, "batch_norm", "relu", {"max_pool": 3}, {"conv": 10}, "global_avg_pool"]
WIDE_PADDING: list[Any] = [{"conv": 4, "kernel": 1, "padding": 1}, {"conv": 10}, "global_avg_pool"]


@pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")
def test_many_images_go_through_the_kernels(monkeypatch: pytest.MonkeyPatch):
    run, images, sizes = random_run(PLAIN), random_images(70), []
    by_kernels = KernelBackend.logits

    def logits(self: KernelBackend, network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(len(inputs))
        return by_kernels(self, network, inputs)

    monkeypatch.setattr(KernelBackend, "logits", logits)
    monkeypatch.setattr(predictions, "BATCH", 40)
    assert torch.equal(predict(run, images), predict_with_torch(run, images)) and sizes == []  # torch, for few images
    monkeypatch.setattr(predictions, "MIN_IMAGES", 70)
    found = predict(run, images)
    assert sizes == [40, 30]
    assert found.shape == (70, 10) and torch.allclose(found, predict_with_torch(run, images), atol=1e-4)


def test_layers_that_the_kernels_do_not_have(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(predictions, "MIN_IMAGES", 1)
    run, images = random_run(WIDE_PADDING), random_images(5)
    assert torch.equal(predict(run, images), predict_with_torch(run, images))
