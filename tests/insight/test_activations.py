"""The outputs of layers: which module belongs to which row, and how often outputs are zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_lite.insight import predictions
from mnist_lite.insight.activations import feature_maps, layers_with_modules, predict_and_count
from mnist_lite.insight.network_plots import first_filters
from mnist_lite.insight.predictions import predict
from tests.conftest import Compose
from tests.insight.networks import random_images, random_run

LAYERS: list[Any] = [
    {"conv": 6, "kernel": 5, "stride": 2, "bias": True},
    "relu",
    {"residual": {"layers": [{"conv": 8, "kernel": 3, "padding": 1, "stride": 2}, "batch_norm", "relu"]}},
    "flatten",
    {"linear": 12},
    "relu",
    {"linear": 10},
]


@pytest.mark.parametrize("model", ["era4", "eva5", "genesis", "residual_8k"])
def test_each_row_of_the_table_has_its_module(model: str, composed: Compose):
    run = random_run(composed(f"model={model}").model["layers"])
    pairs = layers_with_modules(run.network)
    assert [type(module).__name__ for _, module in pairs] == [layer.kind for layer in run.network.layers]
    maps = feature_maps(run, random_images(1)[0])
    assert [tuple(values.shape) for _, values in maps] == [layer.output for layer in run.network.layers]
    torch.testing.assert_close(maps[-1][1].flatten(), predict(run, random_images(1))[0])


def test_zeros_and_dead_units_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(predictions, "BATCH", 16)  # several batches
    run, images = random_run(LAYERS), random_images(50)
    module: Any = run.network.module
    module[0].bias[2] = -1e6  # the first ReLU never gives this channel
    module[4].bias[5:7] = -1e6
    x = (images.float() / 255 - 0.13) / 0.31
    first = module[1](module[0](x))
    inner = module[2].body(first)
    last = module[5](module[4](module[3](module[2](first))))
    logits, found = predict_and_count(run, images)
    assert [(layer.number, layer.text) for layer in found] == [(2, "relu"), (5, "relu"), (10, "relu")]
    for layer, outputs in zip(found, (first, inner, last), strict=True):
        dead = [not bool(outputs[:, unit].any()) for unit in range(outputs.shape[1])]
        assert (layer.units, layer.dead) == (len(dead), sum(dead))
        assert layer.zeros == pytest.approx(float((outputs == 0).double().mean()))
    assert found[0].dead == 1 and 2 <= found[2].dead < 12
    torch.testing.assert_close(logits, predict(run, images))


def test_the_filters_of_the_first_layer():
    run = random_run(LAYERS)
    network: Any = run.network.module
    filters = first_filters(run.network)
    assert filters is not None
    assert torch.equal(filters, network[0].weight.squeeze(1))
    linear: Any = random_run(["flatten", {"linear": 10}]).network
    filters = first_filters(linear)
    assert filters is not None and filters.shape == (10, 28, 28)
    assert torch.equal(filters[3].flatten(), linear.module[1].weight[3])
    assert first_filters(random_run([{"max_pool": 2}, "flatten", {"linear": 10}]).network) is None
