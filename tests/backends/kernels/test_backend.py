"""The kernels against torch's own modules and autograd in float64."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.kernels.build import compiler_command
from mnist_lite.backends.kernels.operations import compile_operations
from mnist_lite.backends.torch_backend import TorchBackend
from mnist_lite.model.layers import LAYERS
from tests.backends.kernels.networks import HEAD, SHAPE, batch, network
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")

OTHER_ACTIVATIONS = ("relu6", "gelu", "silu", "mish", "hardswish", "softplus", "tanh", "sigmoid")
NETWORKS: dict[str, list[Any]] = {
    "conv": [{"conv": 7, "kernel": 3}],
    "conv with bias, relu": [{"conv": 5, "kernel": 5, "bias": True}, "relu"],
    "padding": [{"conv": 6, "kernel": 3, "padding": 1}, "relu", {"conv": 4, "kernel": 5, "padding": 2, "bias": True}],
    "stride": [{"conv": 6, "kernel": 3, "stride": 2}, "relu", {"conv": 5, "kernel": 4, "stride": 3, "padding": 1}],
    "stride of a 1x1": [{"conv": 6, "kernel": 3}, {"conv": 5, "kernel": 1, "stride": 2}],
    "dilation": [{"conv": 6, "kernel": 3}, {"conv": 5, "kernel": 3, "dilation": 2, "padding": 1}],
    "groups": [{"conv": 6, "kernel": 3}, {"conv": 9, "kernel": 3, "groups": 3, "padding": 1}, "relu"],
    "depthwise": [{"conv": 13, "kernel": 3}, {"conv": 13, "kernel": 3, "groups": "in"}, {"conv": 8, "kernel": 1}],
    "many channels": [{"conv": 33, "kernel": 3, "stride": 2}, "relu", {"conv": 30, "kernel": 3}],
    "many channels in groups": [{"conv": 66, "kernel": 3, "stride": 3}, "relu", {"conv": 60, "kernel": 3, "groups": 2}],
    "one by one": [{"conv": 12, "kernel": 3}, "relu", {"conv": 11, "kernel": 1}, "relu", {"conv": 3, "kernel": 1}],
    "norm, relu": [{"conv": 6, "kernel": 3}, "batch_norm", "relu", {"conv": 6, "kernel": 3}],
    "relu, norm": [{"conv": 6, "kernel": 3, "bias": True}, "relu", "batch_norm", {"conv": 6, "kernel": 3}],
    "norm first": ["batch_norm", {"conv": 6, "kernel": 3}],
    "two norms": [{"conv": 6, "kernel": 3}, "batch_norm", {"batch_norm": 0.3}, {"conv": 6, "kernel": 3}, "batch_norm"],
    "leaky": [{"conv": 6, "kernel": 3}, {"leaky_relu": 0.2}, "batch_norm", {"leaky_relu": 0.1}],
    "relu alone": [{"conv": 6, "kernel": 3}, {"max_pool": 2}, "relu", "relu"],
    "max pool": [{"conv": 6, "kernel": 3}, {"max_pool": 2}, "batch_norm"],
    "max pool that overlaps": [{"conv": 6, "kernel": 3}, "relu", {"max_pool": 3, "stride": 2, "padding": 1}],
    "max pool that leaves a rim": [{"conv": 6, "kernel": 4}, {"max_pool": 2}],
    "average pool": [{"conv": 6, "kernel": 3}, {"avg_pool": 3, "stride": 2, "padding": 1}, "relu"],
    "identity": ["identity", {"conv": 6, "kernel": 3}, "identity"],
    "group norm": [{"conv": 6, "kernel": 3}, {"group_norm": 2}, "relu", {"conv": 6, "kernel": 3}],
    "group norm first": [{"group_norm": 1}, {"conv": 6, "kernel": 3}, {"max_pool": 2}, {"group_norm": 3}],
    "group norm, then batch norm": [{"conv": 6, "kernel": 3}, {"group_norm": 3}, "batch_norm", {"group_norm": 2}],
    "layer norm": [{"conv": 6, "kernel": 3, "bias": True}, "layer_norm", {"conv": 6, "kernel": 3}, "layer_norm"],
    "instance norm": [{"conv": 6, "kernel": 3}, "instance_norm", "relu", {"instance_norm": False}],
    # 21 images: ghosts of 11 and 10 images; 48 images: of 10 and 9, so that a group of lanes has up to 3 ghosts
    "ghost batch norm": [{"conv": 6, "kernel": 3}, {"ghost_batch_norm": 9}, "relu", {"conv": 6, "kernel": 3}],
    "ghosts of one image": [{"ghost_batch_norm": 1}, {"conv": 6, "kernel": 3}, "relu", {"ghost_batch_norm": 16}],
    "elu": [{"conv": 6, "kernel": 3}, {"elu": 0.7}, "batch_norm", "elu"],
    "prelu": [{"conv": 6, "kernel": 3}, "prelu", "batch_norm", {"prelu": -0.3}, {"group_norm": 2}, "prelu"],
    "leaky with a negative slope": [{"conv": 6, "kernel": 3}, {"leaky_relu": -0.2}, "batch_norm", {"leaky_relu": -0.1}],
    **{
        word: [{"conv": 6, "kernel": 3}, word, "batch_norm", word, {"conv": 6, "kernel": 3}]
        for word in OTHER_ACTIVATIONS
    },
    "residual": [{"conv": 6, "kernel": 3}, "relu", {"residual": [{"conv": 6, "padding": 1}, "batch_norm"]}, "relu"],
    "residual first": [{"residual": ["batch_norm", "relu", {"conv": 1, "padding": 1}]}, {"conv": 6, "kernel": 3}],
    "residual with a projection": [
        {"conv": 4, "kernel": 3},
        {
            "residual": [
                {"conv": 6, "stride": 2, "padding": 1},
                "batch_norm",
                "relu",
                {"conv": 6, "padding": 1},
                "batch_norm",
            ]
        },
        "relu",
    ],
    "shared weights": [
        {"conv": 6, "kernel": 3, "stride": 2},
        {"repeat": 3, "shared": True, "layers": [{"conv": 6, "padding": 1, "bias": True}, "batch_norm", "relu"]},
    ],
    "nested residuals": [
        {"conv": 4, "kernel": 3, "stride": 3},
        {
            "residual": [
                "batch_norm",
                {"residual": ["relu", {"conv": 4, "padding": 1}, {"residual": ["identity"]}]},
                "batch_norm",
                {"residual": [{"conv": 8, "padding": 1}, "layer_norm"]},
                {"max_pool": 3, "stride": 1, "padding": 1},
            ]
        },
        {"residual": [{"conv": 8, "padding": 1}]},
    ],
}
LINEAR: dict[str, list[Any]] = {
    "norm after a linear layer": [
        *({"conv": 4, "kernel": 5, "stride": 2}, "relu", "flatten", {"linear": 30}, "batch_norm", "relu"),
        {"linear": 10, "bias": False},
    ],
    # a norm of 36 channels after a convolution of 4
    "norm after flatten": [{"conv": 4, "kernel": 20, "stride": 4}, "flatten", "batch_norm", "prelu", {"linear": 10}],
    "group norm after flatten": [{"conv": 4, "kernel": 20, "stride": 4}, "flatten", {"group_norm": 3}, {"linear": 10}],
    "residual of a flat map": ["flatten", {"linear": 9}, {"residual": ["gelu", {"linear": 9}, "tanh"]}, {"linear": 10}],
}
KINKS: dict[type[nn.Module], tuple[float, ...]] = {
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU), (0,)),
    nn.ReLU6: (0, 6),
    nn.Hardswish: (-3, 3),
}


def is_clear(exact: nn.Module, images: torch.Tensor) -> bool:
    """True if no input of an activation with a kink and no two values of a max pool are so close that rounding decides where the
    gradient goes."""
    near = []

    def look(layer: nn.Module, inputs: tuple[torch.Tensor], _output: torch.Tensor) -> None:
        (x,) = inputs
        if isinstance(layer, nn.MaxPool2d):
            windows = F.unfold(x.flatten(0, 1)[:, None], layer.kernel_size, 1, layer.padding, layer.stride)
            first, second = windows.topk(2, dim=1).values.unbind(1)
            near.append((((first - second) < 1e-6) & (first != second)).any())
        for kink in KINKS.get(type(layer), ()):
            near.append((((x - kink).abs() < 1e-6) & (x != kink)).any())

    hooks = [layer.register_forward_hook(look) for layer in exact.modules()]
    copy.deepcopy(exact).train()(images.double())
    for hook in hooks:
        hook.remove()
    return not any(near)


def assert_same_as_torch(layers: list[Any], count: int, threads: int = 2, smoothing: float = 0.0) -> None:
    module = network(layers)
    exact = copy.deepcopy(module).double().train()
    images, labels = next(sample for seed in range(100) if is_clear(exact, (sample := batch(count, seed))[0]))
    ours = KernelBackend(module, SHAPE, smoothing, threads)
    figures = ours.gradients(images, labels, 1)

    logits = exact(images.double())
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    loss.backward()
    loss, logits = loss.detach(), logits.detach()
    assert float(figures.loss) == pytest.approx(float(loss), rel=1e-5)
    assert int(figures.correct) == int((logits.argmax(1) == labels).sum())
    assert bool(figures.finite)
    for (name, parameter), truth in zip(module.named_parameters(), exact.parameters(), strict=True):
        assert parameter.grad is not None and truth.grad is not None
        # The gradient of a bias before batch norm is zero except for rounding, hence the second term.
        error = (parameter.grad.double() - truth.grad).norm()
        assert error <= 2e-5 * truth.grad.norm() + 1e-6 * truth.grad.numel() ** 0.5, name
    for (name, buffer), expected in zip(module.named_buffers(), exact.buffers(), strict=True):
        assert torch.allclose(buffer.double(), expected.double(), rtol=1e-5, atol=1e-6), name

    exact.eval()
    result, logits = ours.evaluate(module, images, labels), exact(images.double()).detach()
    assert float(result[0]) == pytest.approx(float(F.cross_entropy(logits, labels, reduction="sum")), rel=1e-4)
    assert int(result[1]) == int((logits.argmax(1) == labels).sum())
    found = ours.logits(module, images)
    assert found.shape == logits.shape and torch.allclose(found.double(), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [2, 21, 48])  # one group with empty lanes, two groups with empty lanes, full groups
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_the_same_as_torchs(name: str, count: int):
    assert_same_as_torch([*NETWORKS[name], *HEAD], count)


@pytest.mark.parametrize("count", [3, 21])
@pytest.mark.parametrize("name", LINEAR)
def test_linear_layers(name: str, count: int):
    assert_same_as_torch(LINEAR[name], count, smoothing=0.2)


@pytest.mark.parametrize("outputs", range(1, 18))
def test_every_tile(outputs: int):
    """Numbers of channels and sides that need tiles of every size."""
    layers = [{"conv": outputs, "kernel": 3}, "relu", {"conv": 18 - outputs, "kernel": 1 + outputs}, *HEAD]
    assert_same_as_torch(layers, 17)


@pytest.mark.parametrize("word", LAYERS)
def test_every_word_of_the_vocabulary_runs_in_the_kernels(word: str):
    arguments = {"conv": 8, "linear": 8, "group_norm": 2, "max_pool": 2, "avg_pool": 2}
    before = [{"conv": 6, "kernel": 3}, *(["flatten"] if word == "linear" else [])]
    after = [] if word in ("linear", "flatten") else ["flatten"]
    module = network([*before, {word: arguments[word]} if word in arguments else word, *after, {"linear": 10}])
    assert compile_operations(module, SHAPE).shape == (10, 1, 1)


ACTIVATIONS: list[Any] = ["relu", {"leaky_relu": -0.2}, "elu", {"elu": -0.7}, *OTHER_ACTIVATIONS]


@pytest.mark.parametrize("word", ACTIVATIONS, ids=str)
def test_an_activation_and_its_gradient_are_accurate_to_float32(word: Any):
    sizes = torch.logspace(-6, 4, 3_000)
    points = torch.cat([sizes, -sizes])
    activation = network([word, "flatten", {"linear": 10}])[0].double()
    exact = points.double().requires_grad_()
    values = activation(exact)
    (slopes,) = torch.autograd.grad(values.sum(), exact)
    values = values.detach()

    # Ten points in the first pixels of each image. The logits are their values. The last image has a NaN.
    module = network([word, {"conv": 10, "kernel": 28}])
    reader = module[1].weight
    assert isinstance(reader, nn.Parameter)
    reader.data.zero_()
    reader.data[torch.arange(10), 0, 0, torch.arange(10)] = 1
    images = torch.zeros(len(points) // 10 + 1, *SHAPE)
    images[:-1, 0, 0, :10], images[-1, 0, 0, 5] = points.view(-1, 10), math.nan
    found = KernelBackend(module, SHAPE, 0.0, 2).logits(module, images)
    assert torch.allclose(found[:-1].flatten().double(), values, rtol=5e-7, atol=1e-9)
    assert found[-1].isnan().all()

    # The points are the weights of a channel each. All channels have the same tiny part in the logits, so all logits are 0.
    part = 2.0**-60
    module = network([{"max_pool": 28}, {"conv": len(points), "kernel": 1}, word, {"conv": 10, "kernel": 1}])
    first, last = module[1].weight, module[3].weight
    assert isinstance(first, nn.Parameter) and isinstance(last, nn.Parameter)
    last.data.zero_()
    first.data[:, 0, 0, 0], last.data[0] = points, part
    KernelBackend(module, SHAPE, 0.0, 2).gradients(torch.ones(1, *SHAPE), torch.tensor([1]), 0)
    assert first.grad is not None
    assert torch.allclose(first.grad.flatten().double() / (0.1 * part), slopes, rtol=5e-7, atol=5e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing(smoothing: float):
    assert_same_as_torch([{"conv": 6, "kernel": 3}, "relu", *HEAD], 20, smoothing=smoothing)


def test_the_result_does_not_depend_on_the_threads():
    block = {"residual": [{"conv": 8, "padding": 1}, {"ghost_batch_norm": 9}, "prelu", {"group_norm": 2}]}
    layers = [{"conv": 7, "kernel": 3}, "batch_norm", "relu", {"dropout": 0.3}, {"max_pool": 2}, block, *HEAD]
    images, labels = batch(100)
    results = []
    for threads in (1, 2, 3, 7):
        module = network(layers)
        loss = float(KernelBackend(module, SHAPE, 0.1, threads).gradients(images, labels, 5).loss)
        gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
        results.append((loss, [*gradients, *module.buffers()]))
    for loss, tensors in results[1:]:
        assert loss == results[0][0]
        assert all(torch.equal(a, b) for a, b in zip(tensors, results[0][1], strict=True))


def test_a_batch_does_not_depend_on_the_batch_before():
    module = network([*NETWORKS["norm, relu"], *HEAD])
    ours, large, small = KernelBackend(module, SHAPE, 0.0, 2), batch(64), batch(5, seed=1)
    fresh = KernelBackend(copy.deepcopy(module), SHAPE, 0.0, 2).gradients(*small, 1)
    ours.gradients(*large, 1)
    assert float(ours.gradients(*small, 1).loss) == float(fresh.loss)


def test_evaluate_uses_the_weights_of_the_given_network():
    module = network([*NETWORKS["norm, relu"], *HEAD])
    other, (images, labels) = network([*NETWORKS["norm, relu"], *HEAD], seed=1), batch(50)
    ours, eager = KernelBackend(module, SHAPE, 0.0, 2), TorchBackend(module, 0.0, "fp32", "contiguous")
    assert torch.allclose(ours.evaluate(other, images, labels), eager.evaluate(other, images, labels), rtol=1e-5)
    assert not torch.allclose(ours.evaluate(module, images, labels), eager.evaluate(other, images, labels), rtol=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["image", "weight"])
def test_a_nonfinite_value_is_detected(where: str, value: float):
    module, (images, labels) = network([*NETWORKS["relu, norm"], *HEAD]), batch(20)
    ours = KernelBackend(module, SHAPE, 0.0, 1)
    assert ours.gradients(images, labels, 1).finite
    if where == "image":
        images[7, 0, 13, 13] = value
    else:
        next(module.parameters()).data.view(-1)[3] = value
    assert not ours.gradients(images, labels, 1).finite


def masks(kind: str, p: float, seeds: Iterator[int] | range, channels: int = 3, count: int = 40) -> torch.Tensor:
    """``(seeds, N, channels, 28, 28)``: the dropout masks, 1 where a value is kept. The mask is read off a gradient."""
    layers: list[Any] = [{"conv": channels, "kernel": 1}, {kind: p}, {"conv": 10, "kernel": 28}]
    module = network(layers)
    first, last = module[0], module[2]
    assert isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d)
    ours = KernelBackend(module, SHAPE, 0.0, 2)
    first.weight.data.fill_(1)
    samples = []
    images, labels = torch.ones(count, *SHAPE), torch.zeros(count, dtype=torch.int64)
    for seed in seeds:
        rows = []
        for image in range(count):
            # The gradient of the last weights is the gradient of the logits times the input of the layer: the mask.
            only = images.clone()
            only[torch.arange(count) != image] = 0
            ours.gradients(only, labels, seed)
            assert last.weight.grad is not None
            row = last.weight.grad[0] / last.weight.grad[0].abs().max()
            rows.append(row.abs())
        samples.append(torch.stack(rows))
    return torch.stack(samples)


def test_dropout_is_independent_for_every_seed_image_channel_and_position():
    p = 0.3
    kept = masks("dropout", p, range(2), count=20)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    total = kept.numel()
    assert abs(float(kept.mean()) - (1 - p)) < 4 * math.sqrt(p * (1 - p) / total)
    for axis in range(5):  # neighbours along every axis are equal as often as independent values are
        a, b = kept.narrow(axis, 0, kept.shape[axis] - 1), kept.narrow(axis, 1, kept.shape[axis] - 1)
        agreement, expected = float((a == b).float().mean()), p * p + (1 - p) ** 2
        assert abs(agreement - expected) < 5 * math.sqrt(expected * (1 - expected) / a.numel())


def test_dropout2d_drops_whole_channels():
    kept = masks("dropout2d", 0.5, range(3), channels=8, count=20)
    assert torch.equal(kept.amax((-1, -2)), kept.amin((-1, -2)))
    channels = kept[..., 0, 0]
    assert abs(float(channels.mean()) - 0.5) < 4 * math.sqrt(0.25 / channels.numel())


@pytest.mark.parametrize("p", [0.05, 0.1, 0.25, 0.5])
def test_dropout_has_exactly_its_rate_and_scale(p: float):
    """Means over millions of values. With a random number of eight bits, the rate would be wrong by up to 0.002."""
    module = network([{"conv": 8, "kernel": 1, "bias": True}, {"dropout": p}, {"conv": 10, "kernel": 28}])
    first, last = module[0], module[2]
    assert isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d) and first.bias is not None
    first.weight.data.zero_()
    first.bias.data.fill_(1)
    last.weight.data.zero_()  # all logits are equal, so the gradient is the same for every image
    ours = KernelBackend(module, SHAPE, 0.0, 2)
    count, runs, means = 512, 8, []
    for seed in range(runs):
        ours.gradients(torch.zeros(count, *SHAPE), torch.zeros(count, dtype=torch.int64), seed)
        assert last.weight.grad is not None
        # Each value of the gradient of label 0 is -0.9 times the mean over the images of mask / (1 - p).
        means.append(float(last.weight.grad[0].double().mean()) / -0.9)
    values = count * runs * 8 * 28 * 28
    deviation = math.sqrt(p / (1 - p) / values)
    assert abs(sum(means) / runs - 1) < 4 * deviation + 1e-6


@pytest.mark.parametrize("before", [[], ["tanh"], ["batch_norm", "elu"], [{"group_norm": 2}, "sigmoid"]], ids=str)
@pytest.mark.parametrize("word", ["dropout", "dropout2d"])
def test_the_backward_pass_uses_the_mask_of_the_forward_pass(before: list[Any], word: str):
    """With a fixed mask the loss is smooth, so its gradient is equal to finite differences."""
    module = network([{"conv": 4, "kernel": 5}, *before, {word: 0.4}, {"conv": 10, "kernel": 24}])
    images, labels = batch(6)
    ours, weight = KernelBackend(module, SHAPE, 0.0, 2), next(module.parameters())
    ours.gradients(images, labels, 3)
    assert weight.grad is not None
    gradient = weight.grad.clone()
    for place in (0, 7, 55, 99):
        losses = []
        for change in (1e-2, -2e-2):
            weight.data.view(-1)[place] += change
            losses.append(float(ours.gradients(images, labels, 3).loss))
        weight.data.view(-1)[place] += 1e-2
        assert float(gradient.view(-1)[place]) == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=0.02, abs=2e-4)


def test_minus_infinity_is_zero_after_relu():
    module = network([{"conv": 4, "kernel": 3}, "batch_norm", "relu", *HEAD])
    images, labels = batch(4)
    norm = module[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.bias.data.fill_(-math.inf)
    kernels, eager = KernelBackend(module, SHAPE, 0.0, 1), TorchBackend(module, 0.0, "fp32", "contiguous")
    assert torch.allclose(kernels.evaluate(module, images, labels), eager.evaluate(module, images, labels))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_too_many_threads_are_an_error_and_not_a_hang():
    program = """
import resource
from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.model.layers import LAYERS
from tests.backends.kernels.networks import HEAD, SHAPE, network
module = network(HEAD)
KernelBackend(module, SHAPE, 0.0, 1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 100_000_000,) * 2)
try:
    KernelBackend(module, SHAPE, 0.0, 200)
except MemoryError:
    print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, cwd=REPOSITORY, check=False
    )
    assert done.stdout == "refused\n", done.stderr
