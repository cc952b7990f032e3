"""What ``auto`` means, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_lite.backends import select as rules
from mnist_lite.backends.kernels import backend
from mnist_lite.backends.kernels.build import BuildError, compiler
from mnist_lite.backends.select import ExecutionPlan, select_backend
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from tests.conftest import Compose

SMALL: list[Any] = [{"conv": 10, "kernel": 3}, "batch_norm", "relu", "global_avg_pool"]
LARGE: list[Any] = [{"conv": 64, "kernel": 28}, "flatten", {"linear": 8000}, "relu", {"linear": 10}]
MANY = rules.MIN_IMAGES


@pytest.fixture
def asked(composed: Compose, monkeypatch: pytest.MonkeyPatch):
    threads = torch.get_num_threads()

    def ask(
        *overrides: str, layers: list[Any] = SMALL, images: int = MANY, device: str = "cpu", before: str | None = None
    ) -> ExecutionPlan:
        network = build({"layers": layers})
        return select_backend(composed(*overrides), network, torch.device(device), threads, images, before)

    yield ask
    torch.set_num_threads(threads)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BuildError("no C++ compiler")

    monkeypatch.setattr(backend, "load", fail)


with_compiler = pytest.mark.skipif(not compiler(), reason="no C++ compiler here")


def processor(monkeypatch: pytest.MonkeyPatch, multiplies: bool) -> None:
    monkeypatch.setattr(rules, "supports_bfloat16", lambda: multiplies)


@with_compiler
def test_small_networks_and_many_images_take_the_kernels(asked):
    chosen = asked()
    assert (chosen.backend.name, chosen.precision, chosen.memory_format, chosen.reason) == (
        "kernels",
        "fp32",
        "contiguous",
        "",
    )
    assert torch.get_num_threads() == 1
    assert asked("backend=kernels", images=1).backend.name == "kernels"


def test_few_images_do_not_build(asked, no_compiler: None):
    chosen = asked(images=MANY - 1)
    assert chosen.backend.name == "torch"
    assert "less than 20,000 images" in chosen.reason


def test_never_is_never(asked, no_compiler: None):
    chosen = asked("backend=torch")
    assert (chosen.backend.name, chosen.reason) == ("torch", "")


def test_without_a_compiler_the_run_says_so_and_is_eager(asked, no_compiler: None):
    chosen = asked()
    assert chosen.backend.name == "torch"
    assert "no C++ compiler" in str(chosen)


@pytest.mark.parametrize(
    ("overrides", "layers", "why"),
    [
        ((), SMALL, r"no C\+\+ compiler"),
        (("precision=bf16",), SMALL, "for precision=fp32, not bf16"),
        (("memory_format=channels_last",), SMALL, "their own layout"),
        ((), [*SMALL[:-1], "gelu", "global_avg_pool"], "do not have layer 4 \\(GELU\\)"),
    ],
)
def test_always_is_refused_where_it_cannot_be(asked, no_compiler: None, overrides, layers, why):
    with pytest.raises(UserError, match=f"backend: kernels is asked for, and .*{why}"):
        asked("backend=kernels", *overrides, layers=layers)


def test_a_layer_that_the_kernels_do_not_have_is_named(asked):
    assert "layer 4 (GELU)" in asked(layers=[*SMALL[:-1], "gelu", "global_avg_pool"]).reason
    residual = asked(layers=[*SMALL[:-1], {"residual": ["relu"]}, "global_avg_pool"])
    assert residual.backend.name == "torch" and "layer 4 (Residual)" in str(residual)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_other_devices_are_eager_in_float32(asked, no_compiler: None, device: str):
    for layers in (SMALL, LARGE):
        chosen = asked(layers=layers, device=device)
        assert (chosen.backend.name, chosen.precision, chosen.memory_format) == ("torch", "fp32", "contiguous")


def test_tf32_is_kept_as_it_is_asked_for(asked, no_compiler: None):
    chosen = asked("precision=tf32", device="cuda")
    assert (chosen.backend.name, chosen.precision, chosen.record["precision"]) == ("torch", "tf32", "tf32")


def test_large_networks_take_bfloat16_where_the_processor_does(asked, monkeypatch: pytest.MonkeyPatch):
    processor(monkeypatch, True)
    chosen = asked(layers=LARGE)
    assert (chosen.backend.name, chosen.precision, chosen.memory_format) == ("torch", "bf16", "channels_last")
    with_norm = [LARGE[0], "batch_norm", *LARGE[1:]]
    assert asked(layers=with_norm).memory_format == "contiguous"
    assert asked("precision=fp32", layers=LARGE).precision == "fp32"
    processor(monkeypatch, False)
    chosen = asked(layers=LARGE)
    assert (chosen.backend.name, chosen.precision, chosen.memory_format) == ("torch", "fp32", "contiguous")


@with_compiler
def test_a_resumed_run_computes_as_it_did(asked):
    assert asked(images=1, before="kernels").backend.name == "kernels"
    assert asked(images=MANY, before="torch").backend.name == "torch"
    assert asked("backend=kernels", before="torch").backend.name == "kernels"
