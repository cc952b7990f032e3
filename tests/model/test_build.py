from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.errors import UserError
from mnist_lite.model.budget import Verdict
from mnist_lite.model.build import build
from mnist_lite.model.layers import LAYERS, MAPS_ONLY, GhostBatchNorm2d, make_layer, output_shape
from mnist_lite.reporting import layer_table
from tests.published import ALIASES, NOTATION, expected_layers


def module_of(*layers: Any) -> nn.Sequential:
    """The module of ``layers`` and an end with 10 outputs."""
    return build({"layers": [*layers, {"conv": 10, "kernel": 1}, "global_avg_pool"]}).module


@pytest.mark.parametrize("name", NOTATION)
def test_published_table_layer_by_layer(name, composed):
    network = build(composed(f"model={name}").model)
    assert [(row.kind, row.output, row.parameters) for row in network.layers] == expected_layers(name)
    assert network.parameters == NOTATION[name][0]
    assert sum(p.numel() for p in network.module.parameters()) == NOTATION[name][0]


@pytest.mark.parametrize("alias", ALIASES)
def test_alias_is_the_same_network(alias, composed):
    assert composed(f"model={alias}").model == composed(f"model={ALIASES[alias]}").model


def test_published_rows_of_base_and_salvation(composed):
    """Numbers copied from the printed tables. They check the arithmetic of tests/published.py, too."""
    counts = [row.parameters for row in build(composed("model=base").model).layers if row.parameters]
    assert counts == [320, 18_496, 73_856, 295_168, 1_180_160, 4_719_616, 92_170]
    rows = {row.number: row for row in build(composed("model=salvation").model).layers}
    assert (rows[17].kind, rows[17].output, rows[17].parameters) == ("Conv2d", (16, 2, 2), 2_304)
    assert (rows[18].kind, rows[18].output, rows[18].parameters) == ("Conv2d", (10, 2, 2), 160)
    assert build(composed("model=eva5").model).layers[-1].parameters == 10 * 32 + 10


def test_receptive_fields_of_era3_are_the_published_ones(composed):
    rows = build(composed("model=era3").model).layers
    assert [row.receptive_field for row in rows if row.kind in {"Conv2d", "MaxPool2d"}] == [
        3,
        5,
        6,
        6,
        10,
        14,
        18,
        22,
        26,
        26,
    ]


@pytest.mark.parametrize(
    "layers",
    [
        [{"conv": 4, "kernel": 3}, {"max_pool": 2}, {"conv": 4, "kernel": 3, "dilation": 2}],
        [{"conv": 4, "kernel": 5, "stride": 2}, {"conv": 4, "kernel": 3}, {"avg_pool": 2}, {"conv": 4, "kernel": 3}],
    ],
)
def test_receptive_field_is_what_the_gradient_reaches(layers):
    """Brute force: the pixels that one output value in the middle depends on."""
    network = build({"layers": [*layers, {"conv": 10, "kernel": 1}, "global_avg_pool"]})
    body = network.module[: len(layers) + 1]
    for module in body:
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    # Positive weights keep every path open. An average pool replaces max pool: it depends on every pixel of its window.
    body = nn.Sequential(*[nn.AvgPool2d(2) if isinstance(m, nn.MaxPool2d) else m for m in body])
    image = torch.ones(1, 1, 28, 28, requires_grad=True)
    out = body(image)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == network.layers[len(layers)].receptive_field


def test_same_numbers_as_torch_by_hand():
    layers = [{"conv": 6, "kernel": 3, "bias": True}, "batch_norm", "relu", {"max_pool": 2}, {"conv": 10, "kernel": 13}]
    torch.manual_seed(3)
    ours = build({"layers": layers}).module
    torch.manual_seed(3)
    expected = nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 10, 13, bias=False),
        nn.Flatten(),
    )
    images = torch.randn(4, 1, 28, 28)
    assert torch.equal(ours(images), expected(images))


def test_every_word_builds_trains_and_counts():
    main: dict[str, Any] = {"conv": 8, "linear": 10, "group_norm": 2, "max_pool": 2, "avg_pool": 2}
    after_flatten = {"linear"}
    for word in LAYERS:
        entry = {word: main[word]} if word in main else word
        tail = [{"conv": 10, "kernel": 1}, "global_avg_pool"]
        if word in after_flatten:
            layers = [{"conv": 4}, "flatten", entry]
        elif word == "flatten":
            layers = [{"conv": 4}, "flatten", {"linear": 10}]
        else:
            layers = [{"conv": 4}, entry, *tail]
        network = build({"layers": layers})
        out = network.module(torch.rand(4, 1, 28, 28))
        assert out.shape == (4, 10), word
        out.sum().backward()
        assert network.parameters == sum(p.numel() for p in network.module.parameters()), word


def test_depthwise_and_grouped_convolution_count():
    rows = build(
        {
            "layers": [
                {"conv": 8},
                {"conv": 8, "groups": "in"},
                {"conv": 12, "groups": 4},
                {"conv": 10},
                "global_avg_pool",
            ]
        }
    )
    assert [row.parameters for row in rows.layers] == [72, 72, 9 * 2 * 12, 9 * 12 * 10, 0]


def test_repeat_is_the_same_as_the_layers_written_out():
    block = [{"conv": 6}, "batch_norm", "relu"]
    repeated = build(
        {"layers": [{"repeat": 3, "name": "body", "layers": block}, {"conv": 10, "kernel": 1}, "global_avg_pool"]}
    )
    plain = build({"layers": [*block * 3, {"conv": 10, "kernel": 1}, "global_avg_pool"]})
    assert [(r.text, r.output) for r in repeated.layers] == [(r.text, r.output) for r in plain.layers]
    assert [r.block for r in repeated.layers[:9:3]] == ["body.1", "body.2", "body.3"]


def test_the_text_of_a_layer_has_its_main_argument_without_a_name():
    layers = [{"conv": {"kernel": 5, "out": 10}}, {"batch_norm": {"eps": 0.001}}, "global_avg_pool"]
    assert [row.text for row in build({"layers": layers}).layers] == [
        "conv 10 kernel=5",
        "batch_norm eps=0.001",
        "global_avg_pool",
    ]


def test_an_override_of_a_model_setting_reaches_the_layers(composed):
    network = build(composed("model=era4", "model.dropout=0.25").model)
    assert {m.p for m in network.module if isinstance(m, nn.Dropout)} == {0.25}


def test_ghost_batch_norm_is_batch_norm_of_each_group():
    norm = GhostBatchNorm2d(3, size=4)
    nn.init.uniform_(norm.weight)
    x = torch.randn(12, 3, 5, 5)
    plain = nn.BatchNorm2d(3)
    plain.load_state_dict(norm.state_dict())
    assert torch.allclose(norm(x), torch.cat([plain(group) for group in x.split(4)]), atol=1e-6)
    means = torch.stack([group.mean((0, 2, 3)) for group in x.split(4)]).mean(0)
    variances = torch.stack([group.transpose(0, 1).flatten(1).var(1) for group in x.split(4)]).mean(0)
    assert norm.running_mean is not None and norm.running_var is not None
    assert torch.allclose(norm.running_mean, 0.1 * means, atol=1e-6)
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * variances, atol=1e-6)
    plain.load_state_dict(norm.state_dict())
    assert torch.equal(norm.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("kind", ["layer_norm", {"group_norm": 2}, "instance_norm"])
def test_norms_against_the_formula(kind):
    module = module_of({"conv": 4}, kind)[1]
    x = torch.randn(2, 4, 6, 6)
    groups = {"layer_norm": 1, "instance_norm": 4}.get(kind if isinstance(kind, str) else "", 2)
    flat = x.view(2, groups, -1)
    expected = (
        (flat - flat.mean(2, keepdim=True)) / (flat.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()
    ).view_as(x)
    assert torch.allclose(module(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [{"conv": 4, "kernel": 5, "stride": 5}, {"conv": 10, "kernel": 7}],
            ["layer 2", "conv 10 kernel=7", "(4, 5, 5)"],
        ),
        ([{"conv": 9}, "global_avg_pool"], ["layer 2", "(9, 1, 1)", "10"]),
        ([{"conv": 10}], ["layer 1", "(10, 26, 26)", "global_avg_pool"]),
        ([{"avg_pool": 30}], ["layer 1", "(1, 28, 28)"]),
        ([{"conv": 4}, {"linear": 10}], ["layer 2", "flatten"]),
        (["flatten", {"conv": 4}], ["layer 2", "flatten"]),
        (["rlu"], ["rlu", "did you mean relu?"]),
        ([{"conv": 4, "kernal": 3}], ["kernal", "did you mean kernel?"]),
        ([{"conv": "four"}], ["'four'", "a whole number"]),
        ([{"conv": 6, "kernel": 3, "groups": 4}], ["layer 1", "divisible"]),
        ([{"dropout": 1.5}], ["layer 1", "dropout 1.5", "p must be >= 0 and < 1"]),
        ([{"dropout": 1}], ["layer 1", "dropout 1.0", "p must be >= 0 and < 1"]),
        ([{"dropout2d": 1}], ["layer 1", "dropout2d 1.0", "p must be >= 0 and < 1"]),
        ([{"dropout2d": -0.1}], ["layer 1", "p must be >= 0 and < 1"]),
        ([{"conv": 0}], ["layer 1", ">= 1"]),
        ([{"max_pool": 0}], ["layer 1"]),
        ([{"max_pool": -2}], ["layer 1"]),
        ([{"avg_pool": {"kernel": 2, "stride": 0}}], ["layer 1", ">= 1"]),
        ([{"max_pool": {"kernel": 2, "stride": 10**30}}], ["layer 1", "its stride is larger than 1,000,000"]),
        ([{"conv": {"out": 10, "stride": 10**30}}], ["layer 1", "its stride is larger than 1,000,000"]),
        ([{"relu": 3}], ["relu takes no argument"]),
        (["conv"], ["out", "missing"]),
        ([7], ["entry 1"]),
        ([], ["the list is empty"]),
        ([{"repeat": "x", "layers": ["relu"]}], ["repeat"]),
        ([{"repeat": 2}], ["(repeat).layers: missing"]),
        ([{"repeat": 0, "layers": ["relu"]}], ["(repeat).times", "1 to 1000"]),
        ([{"repeat": 10**8, "layers": ["relu"]}], ["(repeat).times", "1 to 1000"]),
        ([{"repeat": 1000, "layers": ["relu", "relu"]}], ["more than 1000 layers"]),
        ([{"repeat": 2, "name": ["a"], "layers": ["relu"]}], ["(repeat).name", "a word"]),
        ([{"reapeat": 2, "layers": ["relu"]}], ["did you mean repeat?"]),
        ([{"conv": 10, "out": 12}], ["out is given twice"]),
        ([{"conv": {"out": 10, "kernel": 3}, "kernel": 5}], ["kernel is given twice"]),
        ([{"batch_norm": -5.0}], ["momentum in [0, 1]"]),
        ([{"conv": 10**20}], ["layer 1"]),
        ([{"conv": 10**9}], ["layer 1", "too large"]),
        ([{"conv": 10, "padding": 100_000}], ["layer 1", "too large"]),
        ([{"conv": 10, "stride": 10**20}], ["layer 1"]),
        (["flatten", {"linear": 0}], ["layer 2", "out must be >= 1"]),
    ],
)
def test_a_list_that_does_not_fit_is_one_line(layers, message):
    with pytest.raises(UserError) as caught:
        build({"layers": layers})
    assert "\n" not in str(caught.value)
    for part in message:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", NOTATION)
def test_torchsummary_agrees_and_has_no_side_effects(name, composed):
    network = build(composed(f"model={name}").model)
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    network.module.train()
    torch.manual_seed(5)
    expected_draw = torch.rand(3)
    torch.manual_seed(5)
    printed = layer_table.as_torchsummary(network)
    assert torch.equal(torch.rand(3), expected_draw)
    assert network.module.training
    assert all(torch.equal(before[key], value) for key, value in network.module.state_dict().items())
    assert f"Total params: {NOTATION[name][0]:,}" in printed
    rows = [line.split() for line in printed.splitlines() if "-1," in line and "Flatten" not in line]
    assert [int(row[-1].replace(",", "")) for row in rows] == [layer.parameters for layer in network.layers]


def test_text_and_json_tables(composed):
    network = build(composed("model=step3").model)
    text = layer_table.as_text(network)
    assert "7,216 parameters" in text
    data = json.loads(layer_table.as_json(network, "net", Verdict(())))
    assert data["parameters"] == 7216
    assert [layer["parameters"] for layer in data["layers"]] == [row.parameters for row in network.layers]
    assert data["layers"][0]["output"] == [12, 26, 26]
    assert data["multiply_adds"] == 26 * 26 * 108 + 24 * 24 * (2592 + 288) + 10 * 10 * 1296 + 8 * 8 * (2592 + 240 + 100)


ARGUMENTS = {
    "conv": {"out": 4, "stride": 2},
    "linear": {"out": 3},
    "group_norm": {"groups": 2},
    "max_pool": {"kernel": 3, "stride": 2, "padding": 1},
    "avg_pool": {"kernel": 3, "stride": 2},
}
MAPS, FLAT = (8, 7, 9), (8,)


@pytest.mark.parametrize(
    ("word", "shape"),
    [(word, MAPS) for word in LAYERS if word != "linear"] + [(word, FLAT) for word in LAYERS if word not in MAPS_ONLY],
)
def test_the_shape_of_every_layer_is_that_of_its_output(word: str, shape: tuple[int, ...]):
    module = make_layer(word, shape, ARGUMENTS.get(word, {}))
    expected = module(torch.zeros(2, *shape)).shape[1:]
    assert output_shape(module.to("meta"), shape) == expected


@pytest.mark.parametrize("word", ["conv", "max_pool", "avg_pool"])
def test_shapes_are_those_of_torch_for_all_small_arguments(word: str):
    compared = refused = 0
    for height, width, kernel, stride, padding in itertools.product(
        (1, 4, 7), (2, 5), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2)
    ):
        for dilation in (1, 2) if word == "conv" else (1,):
            more = {"out": 2, "dilation": dilation} if word == "conv" else {}
            try:
                module = make_layer(
                    word, (1, height, width), {"kernel": kernel, "stride": stride, "padding": padding, **more}
                )
            except ValueError as error:
                assert "at most half" in str(error)
                continue
            try:
                expected = tuple(module(torch.zeros(1, 1, height, width)).shape[1:])
            except RuntimeError:  # torch refuses it
                with pytest.raises(RuntimeError, match="its kernel covers"):
                    output_shape(module, (1, height, width))
                refused += 1
            else:
                assert output_shape(module, (1, height, width)) == expected
                compared += 1
    assert compared > 80
    assert refused > 20


def test_the_shape_of_a_network_does_not_import_the_compiler_of_torch():
    code = (
        "import sys\nfrom mnist_lite.model.build import build\n"
        "build({'layers': [{'conv': 4}, 'batch_norm', 'relu', {'max_pool': 2}, 'global_avg_pool', {'conv': 10, 'kernel': 1}]})\n"
        "assert not {'sympy', 'torch._dynamo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
