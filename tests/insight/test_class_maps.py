"""Class maps against their definitions: exact maps, Grad-CAM, and the places of the cells."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_lite.insight.class_maps import exact_class_maps, grad_cam
from mnist_lite.insight.predictions import predict
from tests.insight.networks import random_images, random_run

STEM: list[Any] = [{"conv": 6, "kernel": 5, "stride": 2, "bias": True}, "batch_norm", "relu"]  # 12 x 12
EXACT: dict[str, list[Any]] = {
    "convolution": [{"conv": 10, "kernel": 3}, "global_avg_pool"],
    "relu before the pool": [{"conv": 10, "kernel": 3}, "relu", {"avg_pool": 10}],
    "linear": ["global_avg_pool", "flatten", {"linear": 10}],
    "norm and 1x1": ["global_avg_pool", "batch_norm", {"dropout": 0.1}, {"conv": 10, "kernel": 1, "bias": True}],
    "residual": [
        {"residual": {"layers": [{"conv": 10, "kernel": 3, "padding": 1, "stride": 2}, "batch_norm"]}},
        "global_avg_pool",
    ],
}
NOT_EXACT: dict[str, list[Any]] = {
    "flatten": ["flatten", {"linear": 10}],
    "not linear after the pool": ["global_avg_pool", {"conv": 8, "kernel": 1}, "relu", {"conv": 10, "kernel": 1}],
    "maximum": [{"conv": 10}, {"max_pool": 10}],
    "pool of a part": [{"conv": 10}, {"avg_pool": 8}],
}


@pytest.mark.parametrize("end", EXACT)
def test_the_mean_of_an_exact_class_map_is_the_logit(end: str):
    run, images = random_run([*STEM, *EXACT[end]]), random_images(3)
    maps = exact_class_maps(run, images)
    assert maps is not None and maps.exact
    assert maps.maps.shape[2] > 1
    torch.testing.assert_close(maps.maps.mean((2, 3)), predict(run, images), atol=1e-4, rtol=1e-4)


def test_each_cell_of_an_exact_class_map_is_the_weighted_sum_of_its_features():
    """Zhou et al. (2016), equation 2: M_c(x, y) = sum over k of w_ck * f_k(x, y). Here with the bias of the class."""
    run, images = random_run([*STEM, *EXACT["linear"]]), random_images(2)
    network: Any = run.network.module
    stem, linear = network[:3], network[5]
    features = stem((images.float() / 255 - 0.13) / 0.31)
    expected = torch.einsum("ck,nkhw->nchw", linear.weight, features) + linear.bias[:, None, None]
    maps = exact_class_maps(run, images)
    assert maps is not None
    torch.testing.assert_close(maps.maps, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("end", NOT_EXACT)
def test_other_networks_have_no_exact_class_maps(end: str):
    assert exact_class_maps(random_run([*STEM, *NOT_EXACT[end]]), random_images(1)) is None


def test_grad_cam_is_its_definition():
    """Selvaraju et al. (2017), equations 1 and 2. The gradient of a linear layer is its weight, so no autograd is needed."""
    run, images = random_run([*STEM, "flatten", {"linear": 10}]), random_images(4)
    network: Any = run.network.module
    features = network[:3]((images.float() / 255 - 0.13) / 0.31)
    alpha = network[4].weight.view(10, 6, 12, 12).mean((2, 3))
    expected = torch.einsum("ck,nkhw->nchw", alpha, features).relu()
    found = grad_cam(run, images)
    assert found is not None and not found.exact
    torch.testing.assert_close(found.maps, expected, atol=1e-5, rtol=1e-4)
    assert float(found.maps.max()) > 0


def test_grad_cam_takes_the_last_layer_with_maps_of_seven_cells():
    layers = [{"conv": 4, "kernel": 5, "stride": 2}, "relu", {"max_pool": 2}, {"conv": 10}, "global_avg_pool"]
    found = grad_cam(random_run(layers), random_images(1))  # 12 x 12, 6 x 6, 4 x 4
    assert found is not None
    assert found.maps.shape == (1, 10, 12, 12) and not found.small
    assert grad_cam(random_run(["flatten", {"linear": 10}]), random_images(1)) is None


@pytest.mark.parametrize(
    "layers",
    [
        [{"conv": 4, "kernel": 3}, {"max_pool": 2}, {"conv": 10, "kernel": 3}],
        [{"conv": 4, "kernel": 3, "padding": 1, "dilation": 2}, {"conv": 10, "kernel": 2, "stride": 2}],
        [{"conv": 4, "kernel": 5, "stride": 3, "padding": 2}, {"avg_pool": 2}, {"conv": 10, "kernel": 1}],
        [{"residual": {"layers": [{"conv": 4, "kernel": 3, "padding": 1, "stride": 2}]}}, {"conv": 10, "kernel": 2}],
    ],
)
def test_the_place_and_the_field_of_a_cell_are_those_of_its_gradient(layers: list[Any]):
    run = random_run([*layers, "global_avg_pool"])
    maps = exact_class_maps(run, random_images(1))
    assert maps is not None
    row, column = maps.maps.shape[2] // 2, maps.maps.shape[3] // 2
    network = run.network.module[:-2]
    image = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)).requires_grad_()
    network(image)[:, :, row, column].sum().backward()
    assert image.grad is not None
    seen = image.grad.abs().amax((0, 1)) > 0
    for axis, cell in ((1, row), (0, column)):
        pixels = seen.any(axis).nonzero().flatten()
        assert (int(pixels[0]) + int(pixels[-1])) / 2 == maps.first + cell * maps.jump
        assert int(pixels[-1]) - int(pixels[0]) + 1 == maps.field
    start, end = maps.extent
    assert end - start == maps.jump * maps.maps.shape[2]
