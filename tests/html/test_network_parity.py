"""The network in the page's JavaScript, in a real browser, against torch."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.data.mnist import load_mnist
from mnist_lite.insight.activations import feature_maps
from mnist_lite.insight.class_maps import exact_class_maps, grad_cam
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.predictions import predict_with_torch
from mnist_lite.insight.report_network import MAX_PARAMETERS, network_for_page
from mnist_lite.insight.saved_run import SavedRun, load_run
from mnist_lite.model.layer_list import VOCABULARY
from mnist_lite.model.layers import LAYERS
from tests.conftest import REPOSITORY, Compose
from tests.insight.networks import random_images, random_run
from tests.published import ALIASES

IMAGES = 200
TOLERANCE = 1e-4
MODELS = sorted({path.stem for path in (REPOSITORY / "conf" / "model").glob("*.yaml")} - set(ALIASES))
TOO_LARGE = {"base", "era1"}


STEM: list[Any] = [{"conv": 6, "kernel": 5, "stride": 2, "bias": True}]  # 12 x 12
END: list[Any] = [{"conv": 10, "kernel": 3}, "global_avg_pool"]
BLOCK: list[Any] = [{"conv": 8, "kernel": 3, "padding": 1, "stride": 2}, "batch_norm", "relu"]
LAYER_LISTS: dict[str, list[Any]] = {
    "conv": [
        {"conv": 12, "kernel": 3, "padding": 2, "dilation": 2, "groups": "in", "stride": 2},
        {"conv": 8, "groups": 4},
    ],
    "linear": ["flatten", {"linear": 20, "bias": False}, "relu", {"linear": 10}],
    "flatten": ["flatten", {"linear": 12}, "batch_norm", {"prelu": 0.3}, {"group_norm": 3}, {"linear": 10}],
    "batch_norm": [{"batch_norm": 0.3, "eps": 0.01}],
    "ghost_batch_norm": ["ghost_batch_norm"],
    "group_norm": [{"group_norm": 3, "eps": 0.1}],
    "layer_norm": ["layer_norm"],
    "instance_norm": [{"instance_norm": True}, "relu", {"instance_norm": False, "eps": 0.01}],
    "dropout": [{"dropout": 0.5}],
    "dropout2d": [{"dropout2d": 0.5}],
    "max_pool": [{"max_pool": 3, "stride": 2, "padding": 1}],
    "avg_pool": [{"avg_pool": 3, "stride": 2, "padding": 1}],
    "global_avg_pool": ["relu", "global_avg_pool", {"conv": 10, "kernel": 1}, "relu", "flatten", {"linear": 10}],
    "leaky_relu": [{"leaky_relu": 0.2}],
    "elu": [{"elu": 0.7}],
    "prelu": [{"prelu": 0.1}],
    "repeat": [
        {"repeat": 2, "layers": [{"conv": 6, "kernel": 3, "padding": 1}, "silu"]},
        {"repeat": 2, "shared": True, "layers": [{"conv": 6, "kernel": 3, "padding": 1}, "batch_norm"]},
    ],
    "residual": [
        {"residual": {"layers": [{"residual": {"layers": BLOCK}}, {"conv": 8, "kernel": 3, "padding": 1}]}},
        "relu",
        {"residual": {"layers": ["batch_norm", "relu", {"conv": 8, "kernel": 1}]}},
    ],
}
"""For each word, layers after ``STEM`` that use it. A list that does not end with ten values is followed by ``END``."""


def layers_with(word: str) -> list[Any]:
    layers = LAYER_LISTS.get(word, [word])
    return [*STEM, *layers] if "flatten" in layers else [*STEM, *layers, *END]


def pixels_of(images: torch.Tensor) -> str:
    return base64.b64encode(images.numpy().tobytes()).decode()


def logits_in_browser(page: Any, run: SavedRun, images: torch.Tensor) -> torch.Tensor:
    """``(N, 10)`` float32, computed by JavaScript."""
    logits = page.evaluate(
        """([described, images]) => {
            const network = readNetwork(described), pixels = bytesOf(images), logits = [];
            for (let i = 0; i < pixels.length; i += 784)
                logits.push(Array.from(logitsOf(computeNetwork(network, pixels.subarray(i, i + 784)))));
            return logits;
        }""",
        [network_for_page(run), pixels_of(images)],
    )
    return torch.tensor(logits)


def assert_same_answers(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Networks without norms have small logits when their weights are random, so a smaller difference is allowed for them."""
    difference, largest = float((found - expected).abs().max()), float(expected.abs().max())
    print(f"largest difference {difference:.1e}, largest logit {largest:.3g}")  # pytest -rP shows it
    assert difference < TOLERANCE * min(1, largest)
    assert torch.equal(found.argmax(1), expected.argmax(1))


@pytest.fixture(scope="module")
def test_images(mnist_root: Path) -> torch.Tensor:
    """The first 200 test images of MNIST."""
    return load_mnist(mnist_root)[1].images[:IMAGES]


def random_model(composed: Compose, model: str) -> SavedRun:
    return random_run(composed(f"model={model}").model["layers"])


@pytest.mark.parametrize("model", [model for model in MODELS if model not in TOO_LARGE])
def test_published_networks_give_the_same_logits(
    model: str, composed: Compose, bare_page: Any, test_images: torch.Tensor
):
    run = random_model(composed, model)
    assert_same_answers(logits_in_browser(bare_page, run, test_images), predict_with_torch(run, test_images))


def test_the_shipped_network_gives_the_same_logits(bare_page: Any, test_images: torch.Tensor):
    run = load_run(find_runs(["zoo:era4"])[0])
    assert_same_answers(logits_in_browser(bare_page, run, test_images), predict_with_torch(run, test_images))


@pytest.mark.parametrize("word", VOCABULARY)
def test_each_layer_type_gives_the_same_logits_and_maps(word: str, bare_page: Any):
    run, images = random_run(layers_with(word)), random_images(IMAGES)
    assert_same_answers(logits_in_browser(bare_page, run, images), predict_with_torch(run, images))
    outputs = bare_page.evaluate(
        """([described, image]) =>
            rowsOf(computeNetwork(readNetwork(described), bytesOf(image)))
                .map(({ layer, output }) => [layer.number, output.shape, Array.from(output.data)])""",
        [network_for_page(run), pixels_of(images[:1])],
    )
    maps = feature_maps(run, images[0])
    assert [number for number, _, _ in outputs] == [layer.number for layer, _ in maps]
    for (_, shape, data), (layer, output) in zip(outputs, maps, strict=True):
        torch.testing.assert_close(torch.tensor(data).reshape(shape), output, atol=TOLERANCE, rtol=1e-5, msg=layer.text)


@pytest.mark.parametrize("word", [*VOCABULARY, "exact"])
def test_class_maps_are_those_of_torch(word: str, bare_page: Any):
    """Grad-CAM of the output of the stem, so that the gradient goes back through every layer type. And the exact maps."""
    run = random_run([*STEM, *END, "batch_norm", {"conv": 10, "kernel": 1}] if word == "exact" else layers_with(word))
    images = random_images(4)
    described = network_for_page(run)
    compute = exact_class_maps if described["class_maps"]["exact"] else grad_cam
    expected = compute(run, images)
    assert expected is not None
    found = bare_page.evaluate(
        """([described, images]) => {
            const network = readNetwork(described), pixels = bytesOf(images), maps = [];
            for (let i = 0; i < pixels.length; i += 784) {
                const steps = computeNetwork(network, pixels.subarray(i, i + 784));
                for (let digit = 0; digit < 10; digit++) maps.push(Array.from(classMap(network, steps, digit).values));
            }
            return maps;
        }""",
        [described, pixels_of(images)],
    )
    torch.testing.assert_close(
        torch.tensor(found).reshape(expected.maps.shape), expected.maps, atol=TOLERANCE, rtol=1e-4
    )


@pytest.mark.parametrize("word", VOCABULARY)
def test_the_gradient_of_the_image_is_that_of_torch(word: str, bare_page: Any):
    run, images = random_run(layers_with(word)), random_images(1)
    inputs = ((images.float() / 255 - run.data["mean"]) / run.data["std"]).requires_grad_()
    (expected,) = torch.autograd.grad(run.network.module(inputs)[0, 3], inputs)
    found = bare_page.evaluate(
        """([described, image]) => {
            const steps = computeNetwork(readNetwork(described), bytesOf(image)), { shape } = steps.at(-1).output;
            return Array.from(backward(steps, { shape, data: Float32Array.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]) }).data);
        }""",
        [network_for_page(run), pixels_of(images)],
    )
    largest = float(expected.abs().max())
    torch.testing.assert_close(torch.tensor(found).reshape(expected.shape), expected, atol=TOLERANCE * largest, rtol=0)


@pytest.mark.parametrize("model", sorted(TOO_LARGE))
def test_a_large_network_is_not_in_the_page(model: str, composed: Compose):
    layers = composed(f"model={model}").model["layers"]
    described = network_for_page(random_run(layers))
    assert described["parameters"] > MAX_PARAMETERS
    assert "500,000" in described["unsupported"] and described["weights"] == "" and described["layers"] == []


def test_a_layer_that_the_page_lacks_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(LAYERS, "celu", lambda shape: nn.CELU())
    monkeypatch.setitem(VOCABULARY, "celu", lambda shape: nn.CELU())
    described = network_for_page(random_run([*STEM, "celu", *END]))
    assert "layer 2 (celu)" in described["unsupported"] and described["weights"] == ""


def test_pixels_that_cannot_be_normalised_are_named():
    run = random_run([*STEM, *END])
    described = network_for_page(replace(run, data={**run.data, "mean": float("nan")}))
    assert "not numbers" in described["unsupported"] and "NaN" not in json.dumps(described)


def test_a_slow_network_is_not_in_the_page():
    wide = random_run([{"conv": 200, "kernel": 1, "padding": 20}, {"conv": 200, "padding": 1}, *END])
    described = network_for_page(wide)
    assert described["parameters"] < MAX_PARAMETERS and "too slow" in described["unsupported"]
