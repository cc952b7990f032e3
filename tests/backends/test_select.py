"""What ``auto`` means for backend, precision and memory format, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.backends import select as rules
from mnist_lite.backends.kernels import backend
from mnist_lite.backends.kernels import build as kernels_build
from mnist_lite.backends.kernels.build import BuildError, compiler_command
from mnist_lite.backends.kernels.operations import UnsupportedError, compile_operations
from mnist_lite.backends.select import ExecutionPlan, select_backend
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from tests.conftest import Compose

WIDE_PADDING: dict[str, Any] = {"conv": 4, "kernel": 1, "padding": 1}
SMALL: list[Any] = [{"conv": 10, "kernel": 3}, "batch_norm", "relu", "global_avg_pool"]
LARGE: list[Any] = [{"conv": 64, "kernel": 28}, "flatten", {"linear": 8000}, "relu", {"linear": 10}]
MANY = rules.MIN_IMAGES


@pytest.fixture
def plan(composed: Compose):
    """``plan("backend=torch", layers=...)``: the execution plan of a run with these overrides."""

    def make(
        *overrides: str, layers: list[Any] = SMALL, images: int = MANY, device: str = "cpu", previous: str | None = None
    ) -> ExecutionPlan:
        network = build({"layers": layers})
        return select_backend(composed(*overrides), network, torch.device(device), 2, images, previous)

    return make


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BuildError("no C++ compiler")

    monkeypatch.setattr(backend, "load", fail)


with_compiler = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")


def set_bfloat16(monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    monkeypatch.setattr(rules, "supports_bfloat16", lambda: supported)


@with_compiler
def test_small_networks_with_many_images_use_the_kernels(plan):
    selected = plan()
    assert (selected.backend.name, selected.precision, selected.memory_format, selected.reason) == (
        "kernels",
        "fp32",
        "contiguous",
        "",
    )
    assert (selected.threads, selected.torch_threads) == (2, 1)
    assert plan("backend=kernels", images=1).backend.name == "kernels"


@with_compiler
@pytest.mark.parametrize("missing", [True, False])
def test_the_user_is_told_before_the_kernels_are_compiled(
    composed: Compose, missing: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backend, "must_build", lambda: missing)
    lines: list[str] = []
    network = build({"layers": SMALL})
    select_backend(composed(), network, torch.device("cpu"), 2, MANY, announce=lines.append)
    assert len(lines) == missing
    assert all("compiling the C++ kernels" in line for line in lines)


def test_few_images_do_not_build_the_kernels(plan, no_compiler: None):
    selected = plan(images=MANY - 1)
    assert selected.backend.name == "torch"
    assert "fewer than 20,000 training images" in selected.reason


def test_backend_torch_never_builds_the_kernels(plan, no_compiler: None):
    selected = plan("backend=torch")
    assert (selected.backend.name, selected.reason) == ("torch", "")


def test_without_a_compiler_torch_is_used_with_a_reason(plan, no_compiler: None):
    selected = plan()
    assert selected.backend.name == "torch"
    assert "no C++ compiler" in str(selected)


@pytest.mark.parametrize(
    ("overrides", "layers", "reason"),
    [
        ((), SMALL, r"no C\+\+ compiler"),
        (("precision=tf32",), SMALL, "do not have precision=tf32"),
        (("memory_format=channels_last",), SMALL, "their own memory format"),
        ((), [WIDE_PADDING, *SMALL], "do not have layer 1 \\(padding that is wider than the kernel\\)"),
    ],
)
def test_backend_kernels_is_refused_where_it_is_not_possible(plan, no_compiler: None, overrides, layers, reason):
    with pytest.raises(UserError, match=f"backend: kernels is not possible: .*{reason}"):
        plan("backend=kernels", *overrides, layers=layers)


def test_a_layer_that_the_kernels_do_not_have_is_named(plan):
    block = {
        "residual": {"layers": [{"conv": 8, "kernel": 3, "padding": 1}, "relu"]}
    }  # rows 1 to 4, with projection and add
    selected = plan(layers=[block, WIDE_PADDING, *SMALL])
    assert selected.backend.name == "torch" and "do not have layer 5 (padding that is wider" in str(selected)
    with pytest.raises(UnsupportedError, match=r"layer 1 \(Softmax\)"):  # for a word that will come
        compile_operations(nn.Sequential(nn.Softmax(1)), (1, 28, 28))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_other_devices_use_torch_in_float32(plan, no_compiler: None, device: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    for layers in (SMALL, LARGE):
        selected = plan(layers=layers, device=device)
        assert (selected.backend.name, selected.precision, selected.memory_format) == ("torch", "fp32", "contiguous")


def test_large_networks_use_bfloat16_on_a_gpu_that_has_it(plan, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert (plan(layers=LARGE, device="cuda").precision, plan(device="cuda").precision) == ("bf16", "fp32")
    assert plan("precision=fp32", layers=LARGE, device="cuda").precision == "fp32"


def test_tf32_is_kept(plan, no_compiler: None):
    selected = plan("precision=tf32", device="cuda")
    assert (selected.backend.name, selected.precision, selected.record["precision"]) == ("torch", "tf32", "tf32")


def test_large_networks_use_bfloat16_where_the_processor_has_it(plan, monkeypatch: pytest.MonkeyPatch):
    set_bfloat16(monkeypatch, True)
    selected = plan(layers=LARGE)
    assert (selected.backend.name, selected.precision, selected.memory_format) == ("torch", "bf16", "channels_last")
    with_norm = [LARGE[0], "batch_norm", *LARGE[1:]]
    assert plan(layers=with_norm).memory_format == "contiguous"
    assert plan("precision=fp32", layers=LARGE).precision == "fp32"
    set_bfloat16(monkeypatch, False)
    selected = plan(layers=LARGE)
    assert (selected.backend.name, selected.precision, selected.memory_format) == ("torch", "fp32", "contiguous")


@with_compiler
def test_small_networks_use_bfloat16_only_if_asked(plan, monkeypatch: pytest.MonkeyPatch):
    set_bfloat16(monkeypatch, True)
    for processor_has_it in (True, False):
        products = backend.DOT_PRODUCT if processor_has_it else backend.FLOAT32
        monkeypatch.setattr(kernels_build.load(), "mnist_lite_bfloat16_products", lambda products=products: products)
        for word in ("auto", "kernels"):
            assert (plan(f"backend={word}").backend.name, plan(f"backend={word}").precision) == ("kernels", "fp32")
        selected = plan("precision=bf16")
        assert (selected.backend.name, selected.precision) == ("kernels" if processor_has_it else "torch", "bf16")
        assert selected.record["precision"] == "bf16"
        if processor_has_it:
            assert plan("precision=bf16", "backend=kernels").backend.name == "kernels"
        else:
            assert "do not have bfloat16 for this processor" in str(selected)
            with pytest.raises(UserError, match=r"kernels is not possible: .*bfloat16 for this processor"):
                plan("precision=bf16", "backend=kernels")


@with_compiler
def test_a_resumed_run_keeps_its_backend(plan):
    assert plan(images=1, previous="kernels").backend.name == "kernels"
    assert plan(images=MANY, previous="torch").backend.name == "torch"
    assert plan("backend=kernels", previous="torch").backend.name == "kernels"


@with_compiler
def test_a_cache_folder_that_others_may_write_means_torch_with_a_reason(plan, tmp_path, monkeypatch):
    (tmp_path / "mnist-lite").mkdir()
    (tmp_path / "mnist-lite").chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels_build.load.cache_clear()
    selected = plan()
    assert selected.backend.name == "torch" and f"other users may write {tmp_path}/mnist-lite" in str(selected)
    with pytest.raises(UserError, match=r"backend: kernels is not possible: .*other users may write"):
        plan("backend=kernels")
    assert list((tmp_path / "mnist-lite").iterdir()) == []
    kernels_build.load.cache_clear()
