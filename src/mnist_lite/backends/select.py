"""Selects how a run computes: what ``auto`` means for ``precision``, ``backend`` and ``memory_format``.

Each rule comes from a measurement in docs/performance.md. Nothing global is set here: the caller applies ``torch_threads``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mnist_lite.backends.backend import Backend
from mnist_lite.backends.kernels.backend import Announce, KernelBackend
from mnist_lite.backends.kernels.build import BuildError
from mnist_lite.backends.kernels.operations import UnsupportedError
from mnist_lite.backends.processor import supports_bfloat16
from mnist_lite.backends.torch_backend import TorchBackend
from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.model.build import INPUT_SHAPE, Network

MAX_PARAMETERS = 500_000
"""The largest network for which ``auto`` takes our kernels. In larger networks torch in bfloat16 is faster (era1: 2.6 times), and
torch in float32 nearly as fast."""
MAX_GRADIENTS = 100_000_000
"""The largest number of parameters times batch size for which ``auto`` takes the kernels.

The kernels keep one gradient per group of 16 images, so memory grows with the parameters and with the batch size.
"""
MIN_IMAGES = 20_000
"""The smallest number of training images, over all epochs, for which ``auto`` takes the kernels.

With fewer, they save less than 4 s: about 200 microseconds per image. The first run on a machine builds them, in about 7 s.
"""


@dataclass(frozen=True)
class ExecutionPlan:
    """How a run computes."""

    backend: Backend
    precision: str
    """``fp32``, ``tf32`` or ``bf16``."""
    memory_format: str
    """``contiguous`` or ``channels_last``."""
    threads: int
    """CPU threads of the backend."""
    torch_threads: int
    """For ``torch.set_num_threads``. With the kernels it is 1: torch has little left to compute, and its waiting threads would
    use the cores that the kernels need (era4 on two cores: 57 microseconds per image with two torch threads, 32 with one)."""
    reason: str
    """Why ``backend=auto`` selected torch; empty in all other cases."""

    @property
    def record(self) -> dict[str, str | int]:
        """The values that can change the last bits of the result."""
        return {
            "threads": self.threads,
            "precision": self.precision,
            "backend": self.backend.name,
            "kernels": self.backend.version,
            "memory_format": self.memory_format,
        }

    def __str__(self) -> str:
        return f"{self.precision}, {self.backend.name}" + (f" ({self.reason})" if self.reason else "")


def select_backend(
    config: Config,
    network: Network,
    device: torch.device,
    threads: int,
    total_images: int,
    previous: str | None = None,
    announce: Announce | None = None,
) -> ExecutionPlan:
    """The execution plan for ``network`` on ``device``.

    ``total_images`` is the number of training images of all epochs. ``previous`` is the name of the backend that a resumed run
    had. ``announce`` gets a line for the user before the kernels are compiled, because this takes a while.

    Raises:
        UserError: ``backend=kernels`` is not possible.
    """
    precision = config.precision
    if precision == "auto":
        large = network.parameters > MAX_PARAMETERS and config.backend != "kernels"
        precision = "bf16" if large and _has_fast_bfloat16(device) else "fp32"
    kernels_or_reason: KernelBackend | str = ""
    if config.backend == "kernels" or (config.backend == "auto" and previous != TorchBackend.name):
        kernels_or_reason = _try_kernels(config, network, device, precision, threads, total_images, previous, announce)
    if isinstance(kernels_or_reason, KernelBackend):
        return ExecutionPlan(kernels_or_reason, precision, "contiguous", threads, 1, "")
    reason = kernels_or_reason
    if config.backend == "kernels":
        raise UserError(f"backend: kernels is not possible: {reason}")
    memory_format = config.memory_format
    if memory_format == "auto":
        has_norm = any("Norm" in layer.kind for layer in network.layers)  # batch norm is slow with channels_last
        bf16_on_cpu = device.type == "cpu" and precision == "bf16"
        memory_format = "channels_last" if bf16_on_cpu and not has_norm else "contiguous"
    backend = TorchBackend(network.module, config.label_smoothing, precision, memory_format)
    return ExecutionPlan(backend, precision, memory_format, threads, threads, reason)


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and supports_bfloat16()


def _try_kernels(
    config: Config,
    network: Network,
    device: torch.device,
    precision: str,
    threads: int,
    total_images: int,
    previous: str | None,
    announce: Announce | None,
) -> KernelBackend | str:
    """The kernels, or the reason to use torch."""
    auto = config.backend == "auto"
    new_run = previous != KernelBackend.name  # a resumed run keeps the kernels
    gradients = network.parameters * config.batch_size
    rules = (
        (auto and network.parameters > MAX_PARAMETERS, f"more than {MAX_PARAMETERS:,} parameters"),
        (auto and new_run and total_images < MIN_IMAGES, f"fewer than {MIN_IMAGES:,} training images"),
        (auto and new_run and gradients > MAX_GRADIENTS, f"more than {MAX_GRADIENTS:,} parameters times batch size"),
        (device.type != "cpu", f"the kernels need device=cpu, not {device.type}"),
        (precision == "tf32", "the kernels do not have precision=tf32"),
        (config.memory_format == "channels_last", "the kernels have their own memory format, not channels_last"),
    )
    for applies, reason in rules:
        if applies:
            return reason
    try:
        return KernelBackend(network.module, INPUT_SHAPE, config.label_smoothing, threads, precision, announce)
    except UnsupportedError as error:
        return f"the kernels do not have {error}"
    except BuildError as error:
        return f"the kernels cannot be built or loaded: {error}"
    except MemoryError as error:
        return str(error)
