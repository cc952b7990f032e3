"""The backend ``torch``: torch's modules and autograd."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from mnist_lite.backends import matmul_conv
from mnist_lite.backends.backend import StepResult
from mnist_lite.backends.finite_step import all_finite
from mnist_lite.backends.weight_update import WeightUpdate
from mnist_lite.data.raw_batch import Inputs


class TorchBackend:
    """torch's modules and autograd, in float32 (or TF32, see ``device.set_arithmetic``), or with autocast to bfloat16."""

    name = "torch"
    takes_raw_batches = False
    version = ""

    def __init__(self, module: nn.Module, label_smoothing: float, precision: str, memory_format: str) -> None:
        """``precision`` is ``fp32``, ``tf32`` or ``bf16``; ``memory_format`` is ``contiguous`` or ``channels_last``."""
        self._module, self._smoothing, self._bf16 = module, label_smoothing, precision == "bf16"
        self._format = torch.channels_last if memory_format == "channels_last" else torch.contiguous_format
        module.to(memory_format=self._format)

    def gradients(self, inputs: Inputs, labels: torch.Tensor, seed: int) -> StepResult:
        """See ``Backend``."""
        assert isinstance(inputs, torch.Tensor)
        if not (
            inputs.is_cuda and torch.cuda.is_current_stream_capturing()
        ):  # a recording is seeded before each replay
            torch.manual_seed(seed)
        self._module.train()
        logits = self._forward(self._module, inputs)
        loss = F.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        self._module.zero_grad(set_to_none=True)
        loss.backward()
        correct = (logits.detach().argmax(1) == labels).sum()
        return StepResult(loss.detach(), correct, all_finite(loss, self._module))

    def prepare_update(self, update: WeightUpdate) -> Callable[[torch.Tensor], None]:
        """See ``Backend``."""
        return update

    def evaluate(self, network: nn.Module, inputs: Inputs, labels: torch.Tensor) -> torch.Tensor:
        """See ``Backend``."""
        assert isinstance(inputs, torch.Tensor)
        network.eval()
        with torch.inference_mode():
            logits = self._forward(network, inputs)
            loss = F.cross_entropy(logits, labels, reduction="sum")
            both = torch.stack([loss, (logits.argmax(1) == labels).sum().to(loss.dtype)])
            return both if inputs.device.type == "mps" else both.double()

    def _forward(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        inputs = inputs.contiguous(memory_format=self._format)
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self._bf16):
            if self._bf16 and inputs.device.type == "cpu":
                return matmul_conv.forward(network, inputs).float()
            logits: torch.Tensor = network(inputs)
        return logits.float()
