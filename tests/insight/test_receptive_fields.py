"""Effective receptive fields against the gradients of all channels, and the least square by hand."""

from __future__ import annotations

import pytest
import torch

from mnist_lite.data.dataset import load
from mnist_lite.insight import receptive_fields
from mnist_lite.insight.receptive_fields import effective_rows, growing_layers, pixel_weights, write_picture
from mnist_lite.model.build import build
from mnist_lite.reporting import field_plots

LAYERS = [
    {"conv": 4, "padding": 1},
    "batch_norm",
    {"residual": [{"conv": 6, "padding": 1, "stride": 2}, "relu"]},
    {"conv": 10},
    "global_avg_pool",
]


def test_the_weights_are_the_gradients_of_all_channels():
    torch.manual_seed(0)
    network = build({"layers": LAYERS})
    layers = [layer for layer in network.layers if layer.text.startswith(("conv", "add", "global"))]
    inputs = torch.rand(200, 1, 28, 28)
    body = network.module.eval()
    outputs = [body[0], None, body[:3], body[:4], body]  # of the rows above; the second conv is in the residual block
    assert [layer.text.split()[0] for layer in layers] == ["conv", "conv", "add", "conv", "global_avg_pool"]
    for layer, module, weight in zip(layers, outputs, pixel_weights(network, layers, inputs), strict=True):
        assert weight.sum() == pytest.approx(1, rel=1e-5)
        outside = torch.ones(28, dtype=torch.bool)
        first, last = layer.rows_of_image(layer.middle)
        outside[first : last + 1] = False
        assert weight[outside].sum() == weight[:, outside].sum() == 0
        if module is None:
            continue
        x = inputs.clone().requires_grad_(True)
        y = module(x)
        middle = y[:, :, layer.middle, layer.middle] if y.ndim == 4 else y
        squares = sum(
            torch.autograd.grad(middle[:, channel].sum(), x, retain_graph=True)[0].square().mean((0, 1))
            for channel in range(middle.shape[1])
        )
        exact = torch.as_tensor(squares).sqrt()
        exact /= exact.sum()
        assert (weight - exact).norm() < 0.2 * exact.norm()


def test_the_effective_square_by_hand():
    weights = torch.zeros(28, 28)
    weights[10:17, 10:17] = 1.0  # 49 pixels
    weights[13, 13] = 51.0
    weights /= weights.sum()  # the middle has 51 %, 3 x 3 has 59 %, 5 x 5 has 75 %
    assert effective_rows(weights, (10, 16)) == (10, 16)
    weights = torch.zeros(28, 28)
    weights[10:17, 10:17] = 0.5 / 40  # the 40 pixels around 3 x 3
    weights[12:15, 12:15] = 1.0
    weights /= weights.sum()
    assert effective_rows(weights, (8, 18)) == (12, 14)  # 3 x 3 has 9 / 9.5 of the weight, and the middle 1 / 9.5
    assert effective_rows(weights, (13, 13)) == (13, 13)


def test_only_layers_that_see_more_are_drawn():
    texts = [layer.text for layer in growing_layers(build({"layers": LAYERS}))]
    assert texts == ["conv 4 padding=1", "conv 6 padding=1 stride=2", "conv 10", "global_avg_pool"]


def test_what_the_picture_shows(monkeypatch, tmp_path, composed):
    drawn = []

    def draw(*arguments):
        drawn.append(arguments)
        return b"png"

    monkeypatch.setattr(field_plots, "draw", draw)
    config = composed("model=era4", "data=digits", "data.test_limit=20")
    write_picture(build(config.model), "mine, initial weights", load(config.data), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == b"png"
    ((panels, digit, share, title),) = drawn
    assert [panel.side for panel in panels] == [3, 5, 6, 10, 14, 18, 22, 26, 28]  # as published for era3, and the pool
    assert all(panel.field[0] <= panel.effective[0] <= panel.effective[1] <= panel.field[1] for panel in panels)
    assert len(digit) == 28 and share == receptive_fields.SHARE
    assert "mine, initial weights, 7,838 parameters" in title
    assert "averaged over 20 of 20 test images of digits" in title
