"""The images that the kernels load, against ``Dataset.inputs`` with torch's ``grid_sample``."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.kernels.build import compiler_command
from mnist_lite.data.augment import affine, pipeline
from mnist_lite.data.dataset import Dataset
from mnist_lite.data.split import Split
from mnist_lite.model.build import build

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")

AUGMENTS: dict[str, list[Any]] = {
    "none": [],
    "rotation": [{"rotate": 30}],
    "all": [{"rotate": 180}, {"translate": 9}, {"scale": {"low": 0.3, "high": 3.0}}, {"shear": 40}],
    "far outside": [{"translate": 28}],
}


def dataset(count: int) -> Dataset:
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=draws, dtype=torch.uint8)
    split = Split(images, torch.arange(count) % 10)
    return Dataset("noise", split, split, None, 0.1307, 0.3081)


@pytest.mark.parametrize("count", [1, 21, 48])  # one image, a group with empty lanes, full groups
@pytest.mark.parametrize("name", AUGMENTS)
def test_every_pixel_is_that_of_torch(name: str, count: int):
    data, augment = dataset(60), pipeline.build({"transforms": AUGMENTS[name]})
    indices = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:count]
    expected = data.inputs(
        data.train.images[indices], torch.device("cpu"), augment, torch.Generator().manual_seed(2)
    ).flatten(1)
    raw = data.raw_batch(data.train, indices, augment, torch.Generator().manual_seed(2))
    module = build({"layers": [{"conv": 10, "kernel": 28}]}).module
    backend = KernelBackend(module, (1, 28, 28), 0.0, 2)
    with torch.no_grad():
        for first in range(0, 784, 10):  # the outputs of the network are ten pixels of its input
            pixels = torch.arange(first, min(first + 10, 784))
            weight = torch.zeros(10, 784)
            weight[torch.arange(len(pixels)), pixels] = 1
            next(module.parameters()).copy_(weight.view(10, 1, 28, 28))
            found = backend.logits(module, raw)[:, : len(pixels)]
            assert torch.allclose(found, expected[:, pixels], atol=2e-4), first


def test_lanes_without_an_image_do_not_count():
    data = dataset(3)
    module = build({"layers": [{"conv": 10}, "batch_norm", "global_avg_pool"]}).module
    raw = data.raw_batch(
        data.train, torch.arange(3), pipeline.build({"transforms": [{"rotate": 5}]}), torch.Generator()
    )
    matrices = raw.matrices
    assert matrices is not None and matrices.shape == (3, 3, 3)
    KernelBackend(module, (1, 28, 28), 0.0, 1).gradients(raw, data.train.labels, 0)
    kernels = dict(module.named_buffers())["1.running_mean"]
    augmented = affine.resample(data.train.images.float() / 255, matrices)
    conv = next(module.children())
    maps = conv((augmented - data.mean) / data.std)
    assert torch.allclose(kernels, 0.1 * maps.mean((0, 2, 3)), atol=1e-4)
