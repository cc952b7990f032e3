"""The device of a run, and the settings of torch's arithmetic on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from mnist_lite.errors import UnavailableError, UserError

DEVICE_TYPES = ("auto", "cpu", "cuda", "mps")
DETERMINISTIC_WORKSPACES = (":4096:8", ":16:8")
"""Values of CUBLAS_WORKSPACE_CONFIG that make cuBLAS deterministic, from NVIDIA's manual. The first is faster."""
MIN_TF32_CAPABILITY = (8, 0)
"""Compute capability of the first GPUs that have TF32 (Ampere)."""


def pick_device(name: str) -> torch.device:
    """The device ``name``. ``auto`` is CUDA, else MPS, else the CPU. ``cuda`` is ``cuda:0``.

    Raises:
        UserError: the name is not allowed.
        UnavailableError: this machine does not have the device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in DEVICE_TYPES or (index and (kind != "cuda" or not index.isdigit())):
        raise UserError(f"device: {name!r} is not allowed; allowed: auto, cpu, cuda, cuda:<number>, mps")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UnavailableError(
            f"device: {name} is not available, this machine has {torch.cuda.device_count()} CUDA devices; use device=cpu"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UnavailableError("device: mps is not available on this machine; use device=cpu")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


def set_arithmetic(device: torch.device, precision: str) -> None:
    """Sets torch's global switches for ``device``: TF32 and deterministic algorithms.

    Each call sets every switch, so nothing is left from an earlier run in the same process. The call must come before the first
    operation on a GPU, because cuBLAS reads its environment variable when it starts.

    On CUDA, ``fp32`` and ``bf16`` switch TF32 off. (torch's default uses TF32 in the convolutions of cuDNN.) ``tf32`` switches it
    on in convolutions and matrix products. TF32 keeps 10 of the 23 fraction bits of each factor.

    Raises:
        UserError: ``precision`` is ``tf32``, and the device does not have it.
    """
    if precision == "tf32":
        _check_tf32(device)
    _set_tf32(precision == "tf32")
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    cuda = device.type == "cuda"
    if cuda and os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in DETERMINISTIC_WORKSPACES:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = DETERMINISTIC_WORKSPACES[0]
    if torch.are_deterministic_algorithms_enabled() != cuda:  # on the CPU, a run is deterministic without it
        torch.use_deterministic_algorithms(cuda)
    # With deterministic algorithms, torch would fill each new tensor first. No code here reads memory before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def default_tf32() -> Iterator[None]:
    """Inside, cuDNN's convolutions have torch's default for TF32. Afterwards they have their old setting.

    ``torch.export`` reads one switch for convolutions and recurrent layers. torch raises an error if the two differ.
    """
    if not hasattr(torch.backends.cudnn, "conv"):
        yield
        return
    before = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.conv.fp32_precision = before


def _check_tf32(device: torch.device) -> None:
    if device.type != "cuda":
        raise UserError(f"precision: tf32 is for CUDA devices, and the device is {device.type}; use precision=fp32")
    if torch.cuda.get_device_capability(device) < MIN_TF32_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        raise UserError(f"precision: tf32 needs compute capability 8.0, and {name} has less; use precision=fp32")


def _set_tf32(on: bool) -> None:
    """torch 2.9 has new names for these switches, and raises an error if old and new names are mixed."""
    if hasattr(torch.backends.cudnn, "conv"):
        precision = "tf32" if on else "ieee"
        torch.backends.cudnn.conv.fp32_precision = precision
        torch.backends.cuda.matmul.fp32_precision = precision
    else:
        torch.backends.cudnn.allow_tf32 = on
        torch.backends.cuda.matmul.allow_tf32 = on


def set_threads(threads: int | None) -> int:
    """Sets the number of CPU threads of torch. None means torch's default. Returns the number."""
    torch.set_num_threads(threads or _default_threads())
    return torch.get_num_threads()


@cache
def _default_threads() -> int:
    return torch.get_num_threads()  # cached, because a run in the same process may set another number


def describe_device(device: torch.device, threads: int) -> str:
    """The device in words."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device) if device.type != "cpu" else f"{device} ({threads} thread{'s' * (threads != 1)})"
