"""Products in float32 with AMX: each factor is split into three pieces in bfloat16.

The tests force them on for every layer that can use them. The truth is torch in float64, with the tolerances of float32.
"""

from __future__ import annotations

import copy
import math
import struct
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mnist_lite.backends.kernels.backend import AMX_SPLIT, AMX_SPLIT_WHERE_FASTER, FLOAT32, KernelBackend
from mnist_lite.backends.kernels.build import compiler_command, load
from tests.backends.kernels.networks import HEAD, SHAPE, batch, network
from tests.backends.kernels.test_backend import assert_same_as_torch
from tests.backends.kernels.test_bfloat16 import LAYERS

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")
Layers = list[Any]


def use(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """``precision=fp32`` means these products from now on."""
    monkeypatch.setattr(load(), "mnist_lite_float32_products", lambda: products)


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer that can use split products does."""
    if load().mnist_lite_float32_products() == FLOAT32:
        pytest.skip("this processor does not have AMX, or the system does not allow it")
    use(AMX_SPLIT, monkeypatch)


def gradients(layers: Layers, threads: int = 2) -> list[torch.Tensor]:
    module = network(layers)
    KernelBackend(module, SHAPE, 0.1, threads).gradients(*batch(40), 5)
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def are_equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_the_same_as_torchs(name: str, split: None):
    assert_same_as_torch(LAYERS[name], 21)


@pytest.mark.parametrize("outputs", range(1, 18))
def test_every_tile(outputs: int, split: None):
    """Numbers of channels, and sides of kernels and maps, that need tiles of every size."""
    assert_same_as_torch([{"conv": 20 - outputs, "kernel": 3}, {"conv": outputs, "kernel": 1 + outputs}, *HEAD], 17)


def test_the_error_is_that_of_float32(split: None, monkeypatch: pytest.MonkeyPatch):
    """A missing product of two pieces would make it much larger."""
    layers: Layers = [{"conv": 16, "kernel": 3, "stride": 2}, {"conv": 20, "kernel": 3}, *HEAD]
    images, labels = batch(40)
    errors: dict[int, list[float]] = {}
    for products in (FLOAT32, AMX_SPLIT):
        use(products, monkeypatch)
        module = network(layers)
        exact = copy.deepcopy(module).double()
        ours = KernelBackend(module, SHAPE, 0.1, 1)
        ours.gradients(images, labels, 1)
        logits = exact(images.double())
        F.cross_entropy(logits, labels, label_smoothing=0.1).backward()
        found = [ours.logits(module, images), *(p.grad for p in module.parameters())]
        truth = [logits.detach(), *(p.grad for p in exact.parameters())]
        errors[products] = [
            float((a.double() - b).norm() / b.norm())
            for a, b in zip(found, truth, strict=True)
            if a is not None and b is not None
        ]
    assert all(e < 2 * of_float32 for e, of_float32 in zip(errors[AMX_SPLIT], errors[FLOAT32], strict=True)), errors


def test_the_result_does_not_depend_on_the_threads(split: None):
    layers: Layers = [{"conv": 7, "kernel": 3}, "batch_norm", "relu", {"conv": 9, "kernel": 3}, *HEAD]
    first = gradients(layers, 1)
    assert all(are_equal(gradients(layers, threads), first) for threads in (2, 5))


ALL_BITS = struct.unpack("f", b"\xff\xff\xff\x7f")[0]  # a NaN that would round to a number


@pytest.mark.parametrize("value", [math.nan, ALL_BITS, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["map", "weight"])
def test_a_nonfinite_value_is_detected(where: str, value: float, split: None):
    module, (images, labels) = network([{"conv": 8, "kernel": 3}, {"conv": 6, "kernel": 3}, *HEAD]), batch(20)
    ours = KernelBackend(module, SHAPE, 0.0, 1)
    assert ours.gradients(images, labels, 1).finite
    weight = list(module.parameters())[0 if where == "map" else 1]
    weight.data.view(torch.int32).view(-1)[3] = struct.unpack("i", struct.pack("f", value))[0]
    assert not ours.gradients(images, labels, 1).finite
    assert not ours.logits(module, images).isfinite().any()


@pytest.mark.parametrize(
    ("layer", "is_faster"),
    [
        ((12, {"conv": 12, "kernel": 3}), False),  # channels that leave tiles half empty
        ((40, {"conv": 40, "kernel": 1}), False),
        ((16, {"conv": 16, "kernel": 3}), False),  # Winograd's method needs fewer products
        ((32, {"conv": 64, "kernel": 5}), True),
        ((64, {"conv": 128, "kernel": 3}), True),
    ],
    ids=str,
)
def test_a_layer_uses_them_where_they_are_faster(
    layer: tuple[int, Any], is_faster: bool, split: None, monkeypatch: pytest.MonkeyPatch
):
    layers: Layers = [
        {"conv": layer[0], "kernel": 3, "stride": 2},
        layer[1],
        "global_avg_pool",
        "flatten",
        {"linear": 10},
    ]
    found = {}
    for products in (FLOAT32, AMX_SPLIT, AMX_SPLIT_WHERE_FASTER):
        use(products, monkeypatch)
        found[products] = gradients(layers)
    assert not are_equal(found[AMX_SPLIT], found[FLOAT32])
    assert are_equal(found[AMX_SPLIT_WHERE_FASTER], found[FLOAT32]) != is_faster
