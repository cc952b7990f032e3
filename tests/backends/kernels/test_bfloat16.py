"""``precision=bf16`` of the kernels, with each instruction that this processor has.

The truth is torch in float64 where each convolution rounds its inputs to bfloat16. Its sums are exact. The sums of the kernels
are in float32.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv2d_input, conv2d_weight

from mnist_lite.backends.kernels.backend import AMX, DOT_PRODUCT, FLOAT32, KernelBackend
from mnist_lite.backends.kernels.build import compiler_command, load
from mnist_lite.backends.kernels.operations import UnsupportedError
from tests.backends.kernels.networks import HEAD, SHAPE, batch, network
from tests.backends.kernels.test_backend import LINEAR, NETWORKS

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")

SELECTED = (
    *("conv", "conv with bias, relu", "padding", "stride", "stride of a 1x1", "dilation", "groups", "depthwise"),
    *("many channels", "many channels in groups", "one by one", "norm, relu", "relu, norm"),
    *("leaky", "max pool", "residual"),
)
LAYERS: dict[str, list[Any]] = {
    **{name: [*NETWORKS[name], *HEAD] for name in SELECTED},
    "several blocks": [
        {"conv": 33, "kernel": 3, "stride": 2},
        {"conv": 37, "kernel": 1},
        {"conv": 5, "kernel": 3},
        *HEAD,
    ],
    "many channels, dilation": [{"conv": 35, "kernel": 3, "stride": 3}, {"conv": 6, "kernel": 3, "dilation": 2}, *HEAD],
    "several tiles in a row": [{"conv": 14, "kernel": 3, "stride": 3}, {"conv": 18, "kernel": 6, "padding": 5}, *HEAD],
    "a stride of 3": [{"conv": 5, "kernel": 3}, {"conv": 6, "kernel": 4, "stride": 3, "padding": 3}, *HEAD],
    "one position": [
        {"conv": 6, "kernel": 3, "stride": 2},
        {"conv": 20, "kernel": 13},
        "relu",
        {"conv": 10, "kernel": 1},
        "flatten",
    ],
    **LINEAR,
}


@pytest.fixture(params=[DOT_PRODUCT, AMX], ids=["dot product", "AMX"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The kernels use this instruction."""
    library = load()
    if request.param > library.mnist_lite_bfloat16_products():
        pytest.skip("this processor does not have the instruction, or the system does not allow it")
    monkeypatch.setattr(library, "mnist_lite_bfloat16_products", lambda: request.param)
    return int(request.param)


class Rounded(torch.autograd.Function):
    """A convolution that rounds the inputs of its three products to bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, *geometry: Any) -> torch.Tensor:
        ctx.save_for_backward(to_bfloat16(x), to_bfloat16(weight))
        ctx.geometry = geometry
        return F.conv2d(to_bfloat16(x), to_bfloat16(weight), None, *geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (x, weight), gradient = ctx.saved_tensors, to_bfloat16(gradients[0])
        of_x = conv2d_input(x.shape, weight, gradient, *ctx.geometry)
        return of_x, conv2d_weight(x, weight.shape, gradient, *ctx.geometry), None, None, None


def to_bfloat16(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().to(x.dtype)


class RoundedConv2d(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.groups > 1 or self.in_channels < 4:  # these stay in float32
            return super().forward(x)
        y: torch.Tensor = Rounded.apply(x, self.weight, self.stride, self.padding, self.dilation)
        return y if self.bias is None else y + self.bias[:, None, None]


class RoundedLinear(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = Rounded.apply(x[:, :, None, None], self.weight[:, :, None, None], 1, 0, 1)[:, :, 0, 0]
        return y if self.bias is None else y + self.bias


def in_float64(module: nn.Module, rounded: bool) -> nn.Module:
    exact = copy.deepcopy(module).double().train()
    for layer in exact.modules() if rounded else ():
        if isinstance(layer, nn.Conv2d):
            layer.__class__ = RoundedConv2d
        elif isinstance(layer, nn.Linear):
            layer.__class__ = RoundedLinear
    return exact


def assert_same_as_torch(layers: list[Any]) -> None:
    module, (images, labels) = network(layers), batch(21)
    exact = {rounded: in_float64(module, rounded) for rounded in (True, False)}
    ours = KernelBackend(module, SHAPE, 0.1, 2, "bf16")
    loss = float(ours.gradients(images, labels, 1).loss)
    # A sum in float32 is sometimes rounded to another bfloat16 than the exact sum. So the first tolerance is not that of float32.
    for rounded, tolerance in ((True, 5e-4), (False, 0.03)):
        expected = F.cross_entropy(exact[rounded](images.double()), labels, label_smoothing=0.1)
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=tolerance / 10)
        for (name, parameter), truth in zip(module.named_parameters(), exact[rounded].parameters(), strict=True):
            assert parameter.grad is not None and truth.grad is not None
            error = (parameter.grad.double() - truth.grad).norm()
            assert error <= tolerance * (truth.grad.norm() + 0.02 * truth.grad.numel() ** 0.5), name
    logits = exact[True].eval()(images.double()).detach()
    assert torch.allclose(ours.logits(module, images).double(), logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_the_same_as_torchs(name: str, products: int):
    assert_same_as_torch(LAYERS[name])


@pytest.mark.parametrize("outputs", range(1, 18))
def test_every_tile(outputs: int, products: int):
    """Numbers of channels, and sides of kernels and maps, that need tiles of every size."""
    assert_same_as_torch([{"conv": 20 - outputs, "kernel": 3}, {"conv": outputs, "kernel": 1 + outputs}, *HEAD])


def test_the_result_does_not_depend_on_the_threads(products: int):
    layers, (images, labels) = (
        [{"conv": 7, "kernel": 3}, "batch_norm", "relu", {"conv": 9, "kernel": 3}, *HEAD],
        batch(100),
    )
    results = []
    for threads in (1, 2, 5):
        module = network(layers)
        KernelBackend(module, SHAPE, 0.1, threads, "bf16").gradients(images, labels, 5)
        results.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    for gradients in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients, results[0], strict=True))


def test_a_nonfinite_batch_leaves_nothing_behind(products: int):
    """The products of the second layer read a little behind its map. The third layer has a larger map at the same place."""
    layers = [
        {"conv": 33, "kernel": 3, "stride": 3},
        {"conv": 60, "kernel": 1},
        {"conv": 10, "kernel": 3},
        "global_avg_pool",
    ]
    module, (images, labels) = network(layers), batch(20)
    ours = KernelBackend(module, SHAPE, 0.0, 1, "bf16")
    loss = float(ours.gradients(images, labels, 1).loss)
    gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    assert not ours.gradients(images * float("nan"), labels, 1).finite
    assert float(ours.gradients(images, labels, 1).loss) == loss
    assert all(
        torch.equal(p.grad, g) for p, g in zip(module.parameters(), gradients, strict=True) if p.grad is not None
    )


def test_a_processor_without_bfloat16_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(load(), "mnist_lite_bfloat16_products", lambda: FLOAT32)
    KernelBackend(network(HEAD), SHAPE, 0.0, 1, "fp32")
    with pytest.raises(UnsupportedError, match="bfloat16 for this processor"):
        KernelBackend(network(HEAD), SHAPE, 0.0, 1, "bf16")
