"""What ``auto`` means for precision, compile and memory_format: one rule each, measured in docs/performance.md."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mnist_lite.backends.device import multiplies_bfloat16
from mnist_lite.backends.eager import Compute, Eager
from mnist_lite.backends.kernels.backend import Kernels
from mnist_lite.backends.kernels.build import BuildError
from mnist_lite.backends.kernels.operations import UnsupportedError
from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.model.build import INPUT_SHAPE, Network

MOST_PARAMETERS = 500_000
"""Of a network that the kernels are faster on, measured on convolutions; above, products are large enough for torch's own."""
MOST_GRADIENTS = 100_000_000
"""Parameters times batch size: the kernels keep a gradient for each group of 16 images, so memory and time grow with both."""
LEAST_IMAGES = 20_000
"""To be trained in all, for building the kernels to pay: it takes some 4 s and saves some 200 microseconds an image."""


@dataclass(frozen=True)
class Choice:
    """How a run computes."""

    compute: Compute
    precision: str
    memory_format: str
    threads: int
    why: str
    """What the user should know about it; may be empty."""

    @property
    def record(self) -> dict[str, str | int]:
        """What can change the bits."""
        return {
            "threads": self.threads,
            "precision": self.precision,
            "compute": self.compute.name,
            "kernels": self.compute.version,
            "memory_format": self.memory_format,
        }

    def __str__(self) -> str:
        return f"{self.precision}, {self.compute.name}" + (f" ({self.why})" if self.why else "")


def choose(
    config: Config, network: Network, device: torch.device, threads: int, images: int, before: str | None = None
) -> Choice:
    """Resolves what is ``auto``. ``images`` are trained on in all; ``before`` is what a resumed run computed with.

    With the kernels torch itself is put on one thread: what is left to it is small, and its threads wait by spinning on the cores
    that the kernels want (era4 on two cores: 57 microseconds an image that way, 32 this way).

    Raises:
        UserError: ``compile=always`` where it cannot be.
    """
    precision = config.precision
    if precision == "auto":
        large = network.parameters > MOST_PARAMETERS and config.compile != "always"
        precision = "bf16" if large and device.type == "cpu" and multiplies_bfloat16() else "fp32"
    compute, why = _kernels(config, network, device, precision, threads, images, before)
    if compute is not None:
        torch.set_num_threads(1)
        return Choice(compute, precision, "contiguous", threads, why)
    memory_format = config.memory_format
    if memory_format == "auto":
        kinds = {layer.kind for layer in network.layers}
        plain = not any("Norm" in kind for kind in kinds)  # batch norm is slow where channels are last
        half_on_cpu = device.type == "cpu" and precision == "bf16"
        memory_format = "channels_last" if half_on_cpu and plain else "contiguous"
    eager = Eager(network.module, config.label_smoothing, precision, memory_format)
    return Choice(eager, precision, memory_format, threads, why)


def _kernels(
    config: Config,
    network: Network,
    device: torch.device,
    precision: str,
    threads: int,
    images: int,
    before: str | None,
) -> tuple[Kernels | None, str]:
    """The kernels, or why not."""
    if config.compile == "never" or (config.compile == "auto" and before == Eager.name):
        return None, ""
    against = None
    if device.type != "cpu":
        against = f"the kernels are for device=cpu, not {device.type}"
    elif precision != "fp32":
        against = f"the kernels are for precision=fp32, not {precision}"
    elif config.memory_format == "channels_last":
        against = "the kernels have their own layout, not memory_format=channels_last"
    if config.compile == "auto" and (against or network.parameters > MOST_PARAMETERS):
        return None, ""
    if config.compile == "auto" and before != Kernels.name and images < LEAST_IMAGES:
        return None, f"less than {LEAST_IMAGES:,} images to train on"
    if config.compile == "auto" and before != Kernels.name and network.parameters * config.batch_size > MOST_GRADIENTS:
        return None, f"parameters times batch size are more than {MOST_GRADIENTS:,}"
    if against is None:
        try:
            return Kernels(network.module, INPUT_SHAPE, config.label_smoothing, threads), ""
        except UnsupportedError as reason:
            against = f"the kernels do not have {reason}"
        except BuildError as reason:
            against = f"the kernels cannot be built: {reason}"
        except MemoryError as reason:
            against = str(reason)
    if config.compile == "always":
        raise UserError(f"compile: always is asked for, and {against}")
    return None, against
