"""Residual blocks against modules, counts and gradients that are written by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.errors import UserError
from mnist_lite.model.build import Network, build
from mnist_lite.model.init import initialise
from mnist_lite.model.layers import Residual
from mnist_lite.reporting import layer_table

HEAD: list[Any] = [{"conv": 10, "kernel": 1}, "global_avg_pool"]
BODY: list[Any] = [{"conv": 6, "padding": 1}, "batch_norm", "relu", {"conv": 6, "padding": 1}, "batch_norm"]
DOWN: list[Any] = [{"conv": 8, "padding": 1, "stride": 2}, "batch_norm", "relu", {"conv": 8, "padding": 1}]
LAYERS: list[Any] = [{"conv": 6}, {"residual": {"layers": BODY}}, "relu", {"residual": {"layers": DOWN}}, *HEAD]


class ByHand(nn.Module):
    """``LAYERS`` as a PyTorch user writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, bias=False)
        self.conv1 = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.conv3 = nn.Conv2d(6, 8, 3, padding=1, stride=2, bias=False)
        self.bn3 = nn.BatchNorm2d(8)
        self.conv4 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.downsample = nn.Conv2d(6, 8, 1, stride=2, bias=False)
        self.head = nn.Conv2d(8, 10, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        x = self.downsample(x) + self.conv4(torch.relu(self.bn3(self.conv3(x))))
        logits: torch.Tensor = self.head(x).mean((2, 3))
        return logits


def block(network: nn.Sequential, index: int) -> Residual:
    """The residual block at ``index``."""
    module = network[index]
    assert isinstance(module, Residual)
    return module


def test_same_outputs_and_gradients_as_torch_by_hand():
    torch.manual_seed(0)
    ours, by_hand = build({"layers": LAYERS}).module, ByHand()
    for target, source in zip(by_hand.parameters(), ours.parameters(), strict=True):  # both list them in order of use
        target.data.copy_(source.data)
    images = torch.randn(4, 1, 28, 28)
    outputs, expected = ours(images), by_hand(images)
    assert torch.allclose(outputs, expected, atol=1e-6)
    outputs.square().sum().backward()
    expected.square().sum().backward()
    for a, b in zip(ours.parameters(), by_hand.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-4)


def test_rows_counts_and_multiply_adds():
    network = build({"layers": LAYERS})
    rows = [(row.block, row.text, row.kind, row.output, row.parameters, row.multiply_adds) for row in network.layers]
    assert rows[1] == ("residual", "conv 6 padding=1", "Conv2d", (6, 26, 26), 6 * 6 * 9, 6 * 6 * 9 * 26 * 26)
    assert rows[6] == ("residual", "add", "Residual", (6, 26, 26), 0, 0)
    assert rows[8] == ("residual", "conv 8 padding=1 stride=2", "Conv2d", (8, 13, 13), 6 * 8 * 9, 6 * 8 * 9 * 13 * 13)
    assert rows[12] == ("residual", "projection 8 stride=2", "Conv2d", (8, 13, 13), 6 * 8, 6 * 8 * 13 * 13)
    assert rows[13] == ("residual", "add", "Residual", (8, 13, 13), 0, 0)
    assert [row.number for row in network.layers] == list(range(1, 17))
    parameters = 54 + 2 * (324 + 12) + (432 + 16 + 576 + 48) + 80
    assert network.parameters == parameters == sum(p.numel() for p in network.module.parameters())
    assert "residual: projection 8 stride=2" in layer_table.as_text(network)


def test_the_projection_has_no_bias_and_no_norm():
    network = build({"layers": LAYERS})
    assert block(network.module, 1).projection is None
    projection = block(network.module, 3).projection
    assert isinstance(projection, nn.Conv2d) and projection.bias is None
    assert (projection.kernel_size, projection.stride) == ((1, 1), (2, 2))


def test_torchsummary_has_the_same_rows():
    network = build({"layers": LAYERS})
    printed = layer_table.as_torchsummary(network)
    rows = [line.split() for line in printed.splitlines() if "-1," in line and "Flatten" not in line]
    assert [row[0].split("-")[0] for row in rows] == [layer.kind for layer in network.layers]
    assert [int(row[-1].replace(",", "")) for row in rows] == [layer.parameters for layer in network.layers]
    assert f"Total params: {network.parameters:,}" in printed


def side_of_dependence(network: Network, modules: int) -> tuple[int, int]:
    """The side of the square of pixels that a value in the middle depends on after ``modules`` modules, and the jump."""
    body = network.module[:modules].eval()
    for parameter in body.parameters():
        nn.init.constant_(parameter, 0.1)  # positive everywhere, so no path is closed and none cancels another
    image = torch.ones(1, 1, 28, 28, requires_grad=True)
    out = body(image)[0, 0]
    middle = out.shape[0] // 2
    rows = []
    for place in (middle, middle + 1):
        (gradient,) = torch.autograd.grad(out[place, middle], image, retain_graph=True)
        rows.append(gradient[0, 0].abs().sum(1).nonzero().flatten())
    return int(rows[0][-1] - rows[0][0]) + 1, int(rows[1][0] - rows[0][0])


@pytest.mark.parametrize(
    "layers",
    [
        [{"residual": [{"conv": 4, "padding": 1}, "relu", {"conv": 4, "padding": 1}]}],
        [{"conv": 3}, {"residual": [{"conv": 4, "kernel": 1}]}],
        [{"residual": [{"conv": 4, "padding": 2, "dilation": 2}]}],
        [{"residual": [{"conv": 4, "padding": 1, "stride": 2}]}, {"conv": 4}],
        [{"residual": [{"avg_pool": 2}, {"residual": [{"conv": 3, "padding": 1}]}]}, {"residual": ["relu"]}],
        [{"repeat": 2, "layers": [{"residual": [{"conv": 4, "padding": 1}]}]}, {"avg_pool": 2}, {"conv": 2}],
    ],
)
def test_receptive_field_and_jump_by_brute_force(layers: list[Any]):
    network = build({"layers": [*layers, *HEAD]})
    row = network.layers[-3]  # the last before HEAD
    assert side_of_dependence(network, len(network.module) - 3) == (row.receptive_field, row.jump)


def test_blocks_in_blocks_are_named():
    inner = {"residual": [{"conv": 1, "padding": 1}], "name": "inner"}
    layers = [{"repeat": 2, "name": "stage", "layers": [{"residual": {"layers": [inner, "relu"]}}]}, *HEAD]
    network = build({"layers": layers})
    assert [(row.block, row.text) for row in network.layers[:4]] == [
        ("stage.1/residual/inner", "conv 1 padding=1"),
        ("stage.1/residual/inner", "add"),
        ("stage.1/residual", "relu"),
        ("stage.1/residual", "add"),
    ]
    assert network.layers[4].block == "stage.2/residual/inner"
    outer, x = block(network.module, 1), torch.randn(2, 1, 28, 28)
    assert torch.allclose(outer(x), x + torch.relu(x + block(outer.body, 0).body(x)))


def test_a_shortcut_of_features_after_flatten():
    layers = [{"conv": 2, "stride": 4}, "flatten", {"linear": 5}, {"residual": [{"linear": 5}, "relu"]}, {"linear": 10}]
    module = build({"layers": layers}).module
    x = module[:3](torch.randn(3, 1, 28, 28))
    assert torch.equal(block(module, 3)(x), block(module, 3).body(x) + x)


def test_every_weight_of_a_block_is_initialised():
    module = build({"layers": LAYERS}).module
    before = [p.detach().clone() for p in module.parameters() if p.ndim == 4]
    initialise(module, "kaiming")
    after = [p for p in module.parameters() if p.ndim == 4]
    assert len(after) == 7 and not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"residual": [{"conv": 4}]}], ["layer 2 (residual)", "(4, 26, 26)", "(4, 28, 28) at stride 1", "padding"]),
        ([{"residual": [{"max_pool": 3}]}], ["layer 2 (residual)", "(1, 9, 9)", "(1, 10, 10) at stride 3"]),
        ([{"residual": ["global_avg_pool"]}], ["(1, 1, 1)", "(1, 28, 28)"]),
        ([{"residual": [{"conv": 1, "kernel": 2, "stride": 2, "padding": 14}]}], ["(1, 28, 28)", "(1, 14, 14)"]),
        ([{"residual": ["flatten"]}], ["layer 2 (residual)", "(784,)"]),
        (["flatten", {"residual": [{"linear": 3}]}], ["layer 3 (residual)", "(3,)", "(784,)"]),
        ([{"residual": []}], ["the list is empty"]),
        ([{"residual": 3}], ["list of layers"]),
        (["residual"], ["layers: missing"]),
        ([{"residual": {"layers": ["relu"], "stride": 2}}], ["stride", "allowed: layers, name"]),
        ([{"residual": [{"conv": 4, "kernel": 99}]}], ["layer 1 (conv 4 kernel=99)"]),
        ([{"residal": ["relu"]}], ["did you mean residual?"]),
        ([{"repeat": 600, "layers": [{"residual": ["relu", "relu"]}]}], ["more than 1000 layers"]),
    ],
)
def test_a_block_that_does_not_fit_is_one_line(layers: list[Any], message: list[str]):
    with pytest.raises(UserError) as caught:
        build({"layers": layers})
    for part in message:
        assert part in str(caught.value)


def test_the_example_has_the_parameters_that_it_states(composed):
    network = build(composed("model=residual_8k").model)
    first = 8 * 12 * 9 + 24 + 12 * 12 * 9 + 24 + 8 * 12
    second = 12 * 16 * 9 + 32 + 16 * 16 * 9 + 32 + 12 * 16
    assert network.parameters == 72 + 16 + first + second + 160 == 6_840
