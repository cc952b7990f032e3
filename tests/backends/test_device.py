"""The settings of torch's arithmetic. No GPU is needed: the tests read the settings back and compute nothing on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mnist_lite.backends import device
from mnist_lite.backends.torch_backend import TorchBackend
from mnist_lite.config.compose import config_dir
from mnist_lite.data.augment import pipeline
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from mnist_lite.model.layers import LAYERS
from mnist_lite.reporting.console import Console
from mnist_lite.runner import setup
from tests.conftest import Compose

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
DIGITS = ("model=step4", "data=digits", "data.train_limit=20", "batch_size=10", "epochs=1")


def tf32() -> tuple[bool, bool]:
    """True if convolutions may use TF32, and true if matrix products may."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):  # torch 2.9
        return cudnn.conv.fp32_precision == "tf32", products.fp32_precision == "tf32"
    return cudnn.allow_tf32, products.allow_tf32


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pretends that there is a GPU with capability 8.0. Afterwards the settings are those of a run on the CPU."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    yield
    device.set_arithmetic(CPU, "fp32")


def test_a_new_process_has_tf32_in_convolutions():
    """torch's default is why ``set_arithmetic`` has to switch TF32 off."""
    code = "import torch; print(torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize(("precision", "expected"), [("fp32", False), ("bf16", False), ("auto", False), ("tf32", True)])
def test_tf32_is_used_only_if_it_is_named(precision: str, expected: bool):
    device.set_arithmetic(CUDA, precision)
    assert tf32() == (expected, expected)


def test_the_deterministic_settings_on_cuda():
    device.set_arithmetic(CUDA, "fp32")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ[WORKSPACE] == ":4096:8"


@pytest.mark.parametrize(("given", "used"), [(":16:8", ":16:8"), (":0:0", ":4096:8"), ("", ":4096:8")])
def test_a_deterministic_workspace_of_the_user_is_kept(given, used, monkeypatch):
    monkeypatch.setenv(WORKSPACE, given)
    device.set_arithmetic(CUDA, "fp32")
    assert os.environ[WORKSPACE] == used


def test_no_setting_stays_for_the_next_run():
    device.set_arithmetic(CUDA, "tf32")
    device.set_arithmetic(CPU, "fp32")
    assert tf32() == (False, False)
    assert not torch.are_deterministic_algorithms_enabled()
    device.set_arithmetic(CUDA, "tf32")
    device.set_arithmetic(CUDA, "auto")
    assert tf32() == (False, False) and torch.are_deterministic_algorithms_enabled()


class TouchedError(Exception):
    """The first call that starts CUDA."""


@pytest.mark.parametrize(("name", "number"), [("cuda", 0), ("cuda:1", 1), ("auto", 0)])
def test_a_gpu_has_a_number(name: str, number: int, monkeypatch: pytest.MonkeyPatch):
    """``torch.cuda.set_device`` refuses a device without one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.pick_device(name).index == number


def test_a_run_makes_all_settings_before_cuda_starts(composed: Compose, monkeypatch: pytest.MonkeyPatch):
    def start(device: Any) -> None:
        raise TouchedError

    with monkeypatch.context() as faked:
        faked.setattr(setup, "pick_device", lambda name: CUDA)
        faked.setattr(torch.cuda, "set_device", start)
        with pytest.raises(TouchedError):
            setup.set_up_run(composed(*DIGITS, "precision=tf32"), Console())
    assert tf32() == (True, True) and torch.are_deterministic_algorithms_enabled()
    assert os.environ[WORKSPACE] == ":4096:8"
    with torch.random.fork_rng(devices=[]):
        setup.set_up_run(composed(*DIGITS, "device=cpu"), Console())
    assert tf32() == (False, False) and not torch.are_deterministic_algorithms_enabled()


def test_tf32_is_refused_where_it_is_not_available(composed: Compose, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        UserError, match="precision: tf32 is for CUDA devices, and the device is cpu; use precision=fp32"
    ):
        setup.set_up_run(composed(*DIGITS, "device=cpu", "precision=tf32"), Console())
    with pytest.raises(UserError, match="the device is mps"):
        device.set_arithmetic(torch.device("mps"), "tf32")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UserError, match=r"tf32 needs compute capability 8\.0, and Old GPU has less"):
        device.set_arithmetic(CUDA, "tf32")
    device.set_arithmetic(CUDA, "fp32")


def test_torch_before_2_9_has_other_names(monkeypatch: pytest.MonkeyPatch):
    class Old:
        deterministic, benchmark, allow_tf32 = False, True, True

    class Products:
        allow_tf32 = True

    cudnn, products = Old(), Products()
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    monkeypatch.setattr(torch.backends.cuda, "matmul", products)
    device.set_arithmetic(CPU, "fp32")
    assert (cudnn.allow_tf32, products.allow_tf32) == (False, False)
    device.set_arithmetic(CUDA, "tf32")
    assert (cudnn.allow_tf32, products.allow_tf32) == (True, True)
    assert (cudnn.deterministic, cudnn.benchmark) == (True, False)


class Operations(TorchDispatchMode):
    """Records the names of torch's operations, also in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


REFUSED = {
    *("_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward", "fractional_max_pool2d_backward"),
    *("grid_sampler_2d_backward", "upsample_bilinear2d_backward", "upsample_bicubic2d_backward"),
    *("reflection_pad2d_backward", "nll_loss2d_forward", "max_unpool2d", "_ctc_loss_backward", "_embedding_bag"),
    *("put_", "histc", "bincount", "median", "kthvalue", "scatter_reduce", "resize_"),
}
"""Operations that may have no deterministic form on CUDA, from the documentation of ``use_deterministic_algorithms``."""


def operations_of(layers: list[Any], transforms: list[Any], smoothing: float = 0.1) -> set[str]:
    """The operations of a training step and an evaluation on the CPU. On a GPU only convolutions and norms are others."""
    network = build({"layers": layers})
    images, labels = torch.rand(4, 1, 28, 28), torch.arange(4)
    recorded = Operations()
    with recorded, torch.random.fork_rng(devices=[]):
        eager = TorchBackend(network.module, smoothing, "fp32", "contiguous")
        eager.gradients(pipeline.build({"transforms": transforms})(images, torch.Generator()), labels, 0)
        eager.evaluate(network.module, images, labels)
    return recorded.names


def test_operations_of_forward_and_backward_are_recorded():
    images = torch.rand(1, 1, 4, 4, requires_grad=True)
    with Operations() as recorded:
        F.adaptive_avg_pool2d(images, 3).sum().backward()
        F.grid_sample(images, torch.zeros(1, 2, 2, 2), align_corners=False).sum().backward()
    assert {"_adaptive_avg_pool2d_backward", "grid_sampler_2d_backward"} <= recorded.names & REFUSED


MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
AUGMENTS = sorted(path.stem for path in (config_dir() / "augment").glob("*.yaml"))


@pytest.mark.parametrize("model", MODELS)
def test_no_shipped_model_needs_an_operation_that_cuda_would_refuse(model: str, composed: Compose):
    assert not operations_of(composed(f"model={model}").model["layers"], []) & REFUSED


def test_no_layer_and_no_augmentation_needs_such_an_operation(composed: Compose):
    main = {"conv": 4, "linear": 10, "max_pool": 2, "avg_pool": 2, "group_norm": 2, "dropout": 0.1, "dropout2d": 0.1}
    last = ("flatten", "linear")
    layers: list[Any] = [{"conv": 4, "stride": 2}]
    layers += [
        {word: main[word]} if word in main else word for word in LAYERS if word not in (*last, "global_avg_pool")
    ]
    pooled = operations_of([*layers, {"conv": 10, "kernel": 1}, "global_avg_pool"], [])
    flat = operations_of([*layers, "flatten", {"linear": 10}], [], smoothing=0.0)
    assert not (pooled | flat) & REFUSED
    for name in AUGMENTS:
        transforms = composed(f"augment={name}").augment["transforms"]
        assert not operations_of([{"conv": 10}, "global_avg_pool"], transforms) & REFUSED
