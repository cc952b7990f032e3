"""The device of a run, and how torch computes on it."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

import torch

from mnist_lite.errors import UnavailableError, UserError

DEVICE_TYPES = ("auto", "cpu", "cuda", "mps")
DETERMINISTIC_WORKSPACES = (":4096:8", ":16:8")
"""Values of CUBLAS_WORKSPACE_CONFIG with which cuBLAS is deterministic, by NVIDIA's manual; the first is the faster one."""
MIN_TF32_CAPABILITY = (8, 0)
"""Compute capability of the first GPUs that have TF32 (Ampere)."""


def pick_device(name: str) -> torch.device:
    """The device that ``name`` asks for; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        UserError: no such name.
        UnavailableError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in DEVICE_TYPES or (index and (kind != "cuda" or not index.isdigit())):
        raise UserError(f"device: {name!r} is not allowed; allowed: auto, cpu, cuda, cuda:<number>, mps")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UnavailableError(
            f"device: {name} is asked for and there are {torch.cuda.device_count()} CUDA devices; use device=cpu"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UnavailableError("device: mps is asked for and is not here; use device=cpu")
    return torch.device(name)


def set_arithmetic(device: torch.device, precision: str) -> None:
    """Tells torch how to compute on ``device``: with which float32 products, and deterministically.

    It sets everything in every run, so nothing stays from the run before in the same process. It is called before the first
    operation on a GPU, because cuBLAS reads its variable when it starts.

    On CUDA, ``fp32`` and ``bf16`` switch TF32 off: torch's default has it on in cuDNN's convolutions. ``tf32`` switches it on in
    convolutions and matrix products. TF32 keeps 10 of the 23 bits of a factor's fraction.

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
    if torch.are_deterministic_algorithms_enabled() != cuda:  # on the CPU what we use is deterministic without it
        torch.use_deterministic_algorithms(cuda)
    # torch would fill the memory of each new tensor first. Nothing here reads memory that was not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _check_tf32(device: torch.device) -> None:
    if device.type != "cuda":
        raise UserError(f"precision: tf32 is for CUDA devices, and the device is {device.type}; use precision=fp32")
    if torch.cuda.get_device_capability(device) < MIN_TF32_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        raise UserError(f"precision: tf32 needs compute capability 8.0, and {name} has less; use precision=fp32")


def _set_tf32(on: bool) -> None:
    """torch 2.9 has new names for this. It raises an error where both are used, so a version gets one of them."""
    if hasattr(torch.backends.cudnn, "conv"):
        word = "tf32" if on else "ieee"
        torch.backends.cudnn.conv.fp32_precision = word
        torch.backends.cuda.matmul.fp32_precision = word
    else:
        torch.backends.cudnn.allow_tf32 = on
        torch.backends.cuda.matmul.allow_tf32 = on


def processor_flags() -> str:
    """What the processor can do, as Linux lists it; elsewhere its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def supports_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 products; without them it is slower than float32."""
    return bool({"avx512_bf16", "amx_bf16"} & set(processor_flags().split()))


def use_threads(asked: int | None) -> int:
    """Makes torch use so many threads of the CPU, or its own choice; how many that is."""
    torch.set_num_threads(asked or _default_threads())
    return torch.get_num_threads()


@cache
def _default_threads() -> int:
    return (
        torch.get_num_threads()
    )  # as it was before anybody has set it: the next run of a sweep may leave it open again


def describe_device(device: torch.device, threads: int) -> str:
    """The device in words."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({threads} threads)" if device.type == "cpu" else str(device)
