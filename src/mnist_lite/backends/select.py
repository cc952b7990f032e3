"""What ``auto`` means for precision, backend and memory_format: one rule each, measured in docs/performance.md."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mnist_lite.backends.device import supports_bfloat16
from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.kernels.build import BuildError
from mnist_lite.backends.kernels.operations import UnsupportedError
from mnist_lite.backends.torch_backend import Backend, TorchBackend
from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.model.build import INPUT_SHAPE, Network

MAX_PARAMETERS = 500_000
"""Of a network that the kernels are faster on, measured on convolutions; above, products are large enough for torch's own."""
MAX_GRADIENTS = 100_000_000
"""Parameters times batch size: the kernels keep a gradient for each group of 16 images, so memory and time grow with both."""
MIN_IMAGES = 20_000
"""To be trained in all, for building the kernels to pay: it takes some 4 s and saves some 200 microseconds an image."""


@dataclass(frozen=True)
class ExecutionPlan:
    """How a run computes."""

    backend: Backend
    precision: str
    memory_format: str
    threads: int
    reason: str
    """What the user should know about it; may be empty."""

    @property
    def record(self) -> dict[str, str | int]:
        """What can change the bits."""
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
    config: Config, network: Network, device: torch.device, threads: int, images: int, before: str | None = None
) -> ExecutionPlan:
    """Resolves what is ``auto``. ``images`` are trained on in all; ``before`` is what a resumed run computed with.

    With the kernels torch itself is put on one thread: what is left to it is small, and its threads wait by spinning on the cores
    that the kernels want (era4 on two cores: 57 microseconds an image that way, 32 this way).

    Raises:
        UserError: ``backend=kernels`` where it cannot be.
    """
    precision = config.precision
    if precision == "auto":
        large = network.parameters > MAX_PARAMETERS and config.backend != "kernels"
        precision = "bf16" if large and device.type == "cpu" and supports_bfloat16() else "fp32"
    backend, reason = _kernels(config, network, device, precision, threads, images, before)
    if backend is not None:
        torch.set_num_threads(1)
        return ExecutionPlan(backend, precision, "contiguous", threads, reason)
    memory_format = config.memory_format
    if memory_format == "auto":
        kinds = {layer.kind for layer in network.layers}
        plain = not any("Norm" in kind for kind in kinds)  # batch norm is slow where channels are last
        half_on_cpu = device.type == "cpu" and precision == "bf16"
        memory_format = "channels_last" if half_on_cpu and plain else "contiguous"
    eager = TorchBackend(network.module, config.label_smoothing, precision, memory_format)
    return ExecutionPlan(eager, precision, memory_format, threads, reason)


def _kernels(
    config: Config,
    network: Network,
    device: torch.device,
    precision: str,
    threads: int,
    images: int,
    before: str | None,
) -> tuple[KernelBackend | None, str]:
    """The kernels, or why not."""
    if config.backend == "torch" or (config.backend == "auto" and before == TorchBackend.name):
        return None, ""
    against = None
    if device.type != "cpu":
        against = f"the kernels are for device=cpu, not {device.type}"
    elif precision != "fp32":
        against = f"the kernels are for precision=fp32, not {precision}"
    elif config.memory_format == "channels_last":
        against = "the kernels have their own layout, not memory_format=channels_last"
    if config.backend == "auto" and (against or network.parameters > MAX_PARAMETERS):
        return None, ""
    if config.backend == "auto" and before != KernelBackend.name and images < MIN_IMAGES:
        return None, f"less than {MIN_IMAGES:,} images to train on"
    if (
        config.backend == "auto"
        and before != KernelBackend.name
        and network.parameters * config.batch_size > MAX_GRADIENTS
    ):
        return None, f"parameters times batch size are more than {MAX_GRADIENTS:,}"
    if against is None:
        try:
            return KernelBackend(network.module, INPUT_SHAPE, config.label_smoothing, threads), ""
        except UnsupportedError as reason:
            against = f"the kernels do not have {reason}"
        except BuildError as reason:
            against = f"the kernels cannot be built: {reason}"
        except MemoryError as reason:
            against = str(reason)
    if config.backend == "kernels":
        raise UserError(f"backend: kernels is asked for, and {against}")
    return None, against
