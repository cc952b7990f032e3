"""The backend ``kernels``: losses, gradients and evaluation by C++ code on the CPU, in float32.

It computes the same mathematics as torch's modules and autograd. The published networks below 20,000 parameters take 4 to 8 times
as many training steps per second as with eager torch (docs/performance.md). The reasons:

- A vector register holds the same pixel of 16 images. So it is always full, for any number of channels and any size of a map.
- A convolution keeps its sums in registers.
- Norm, activation and dropout are one pass over maps that are still in the cache.
- A dropout mask is a hash of the position. So it is not stored: it is computed again where it is needed.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from mnist_lite.backends.backend import StepResult
from mnist_lite.backends.kernels.build import load, must_build
from mnist_lite.backends.kernels.operations import Op, UnsupportedError, compile_operations
from mnist_lite.backends.kernels.weight_update import KernelUpdate, is_supported
from mnist_lite.backends.weight_update import WeightUpdate
from mnist_lite.data.raw_batch import Inputs
from mnist_lite.data.split import CLASSES
from mnist_lite.model.layers import Shape

FLOAT32, DOT_PRODUCT, AMX, AMX_SPLIT, AMX_SPLIT_WHERE_FASTER = range(5)
"""How convolutions multiply: ``Products`` in bfloat16_convolution.h."""
Announce = Callable[[str], object]
"""Takes a line of text for the user."""
_OUT_OF_MEMORY = "not enough memory for the kernels' maps"


class Images(ctypes.Structure):
    """``Images`` in images.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("floats", "pixels", "indices", "matrices")),
        *((name, ctypes.c_float) for name in ("scale", "shift")),
    )

    @classmethod
    def of(cls, inputs: Inputs) -> Images:
        """The addresses of ``inputs``, whose tensors must be kept as long as they are used."""
        if isinstance(inputs, torch.Tensor):
            assert inputs.dtype == torch.float32 and inputs.is_contiguous()
            return cls(floats=inputs.data_ptr())
        return cls(
            pixels=inputs.images.data_ptr(),
            indices=inputs.indices.data_ptr(),
            matrices=None if inputs.matrices is None else inputs.matrices.data_ptr(),
            scale=1 / (255 * inputs.std),
            shift=-inputs.mean / inputs.std,
        )


class Tensors(NamedTuple):
    """Tensors, and where they are in memory. A training changes their values in place, so the addresses stay."""

    tensors: list[torch.Tensor]
    addresses: ctypes.Array[ctypes.c_void_p]


class KernelBackend:
    """Computes on ``threads`` threads. The result does not depend on the number of threads."""

    name = "kernels"
    takes_raw_batches = True

    def __init__(
        self,
        module: nn.Sequential,
        shape: Shape,
        label_smoothing: float,
        threads: int,
        precision: str = "fp32",
        announce: Announce | None = None,
    ) -> None:
        """``module`` takes images of ``shape`` ``(C, H, W)``. Its parameters are float32 on the CPU.

        ``precision`` ``bf16``: the products of convolutions round their inputs to bfloat16. All else is float32.
        ``announce`` gets a line before the kernels are compiled, because this takes a while.

        Raises:
            UnsupportedError: a layer that the kernels do not have, or a processor without products in bfloat16.
            BuildError: there is no compiler, or it fails.
            MemoryError: not enough memory or threads.
        """
        operations = compile_operations(module, shape)
        if announce is not None and must_build():
            announce("compiling the C++ kernels for this processor. This happens once and takes about 10 s.")
        self._library = load()
        self.version = Path(self._library._name).stem
        rounded = precision == "bf16"
        library = self._library
        products = library.mnist_lite_bfloat16_products() if rounded else library.mnist_lite_float32_products()
        if rounded and products == FLOAT32:
            raise UnsupportedError("bfloat16 for this processor, which lacks AVX512-BF16")
        ops = (Op * len(operations.ops))(*operations.ops)
        self._network = self._library.mnist_lite_new(ops, len(ops), threads, products)
        if not self._network:
            raise MemoryError(_OUT_OF_MEMORY)
        weakref.finalize(self, self._library.mnist_lite_delete, self._network)
        self._module, self._tensor_names, self._smoothing = module, operations.tensors, label_smoothing
        self._tensors_of = weakref.WeakKeyDictionary[nn.Module, Tensors]()
        self._parameters = list(module.parameters())
        sizes = [p.numel() for p in self._parameters]
        flat = torch.zeros(sum(sizes)).split(sizes)
        self._gradients = [part.view_as(p) for part, p in zip(flat, self._parameters, strict=True)]
        gradient_of = dict(zip(self._parameters, self._gradients, strict=True))
        by_name = {name: gradient_of[p] for name, p in module.named_parameters(remove_duplicate=False)}
        self._gradient_addresses = _addresses([by_name.get(name) for name in self._tensor_names])

    def gradients(self, inputs: Inputs, labels: torch.Tensor, seed: int) -> StepResult:
        """As ``TorchBackend.gradients``. ``inputs`` is a raw batch, or ``(N, C, H, W)`` float32."""
        loss, correct, finite = self._run(self._module, inputs, labels, self._gradient_addresses, seed, self._smoothing)
        if any(p.grad is not gradient for p, gradient in zip(self._parameters, self._gradients, strict=True)):
            for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
                parameter.grad = gradient
        return StepResult(torch.tensor(loss / len(inputs)), torch.tensor(correct), torch.tensor(finite > 0))

    def prepare_update(self, update: WeightUpdate) -> Callable[[torch.Tensor], None]:
        """See ``Backend``."""
        return KernelUpdate(self._update_weights, update) if is_supported(update.optimizer) else update

    def _update_weights(self, *arguments: Any) -> None:
        self._library.mnist_lite_update(self._network, *arguments)

    def evaluate(self, network: nn.Module, inputs: Inputs, labels: torch.Tensor) -> torch.Tensor:
        """As ``TorchBackend.evaluate``."""
        return torch.tensor(self._run(network, inputs, labels, None, 0, 0.0)[:2], dtype=torch.float64)

    def logits(self, network: nn.Module, inputs: Inputs) -> torch.Tensor:
        """The outputs ``(N, 10)`` float32 of ``network`` in evaluation mode. ``inputs`` as for ``gradients``."""
        labels = torch.zeros(len(inputs), dtype=torch.int64)  # for the loss, which is not used
        logits = torch.empty(len(inputs), CLASSES)
        self._run(network, inputs, labels, None, 0, 0.0, logits)
        return logits

    def _run(
        self,
        network: nn.Module,
        inputs: Inputs,
        labels: torch.Tensor,
        gradient_addresses: ctypes.Array[ctypes.c_void_p] | None,
        seed: int,
        smoothing: float,
        logits: torch.Tensor | None = None,
    ) -> tuple[float, float, float]:
        """Returns the sum of losses, the number of right answers, and 1 if all values are finite, else 0.

        ``gradient_addresses`` None: an evaluation. It writes the outputs to ``logits``, if given.
        """
        if isinstance(inputs, torch.Tensor):
            inputs = inputs.contiguous()
        labels = labels.contiguous()
        assert labels.dtype == torch.int64
        results = (ctypes.c_double * 3)()
        failed = self._library.mnist_lite_run(
            self._network,
            ctypes.byref(Images.of(inputs)),
            labels.data_ptr(),
            len(inputs),
            self._tensors(network).addresses,
            gradient_addresses,
            seed,
            smoothing,
            None if logits is None else logits.data_ptr(),
            results,
        )
        if failed:
            raise MemoryError(_OUT_OF_MEMORY)
        return results[0], results[1], results[2]

    def _tensors(self, network: nn.Module) -> Tensors:
        """The tensors of ``network`` that the operations refer to. They are kept, because a module is slow to list them."""
        if network not in self._tensors_of:
            state = {**dict(network.named_parameters(remove_duplicate=False)), **dict(network.named_buffers())}
            tensors = [state[name] for name in self._tensor_names]
            assert all(t.is_contiguous() and t.dtype in (torch.float32, torch.int64) for t in tensors)
            self._tensors_of[network] = Tensors(tensors, _addresses(tensors))
        return self._tensors_of[network]


def _addresses(tensors: Sequence[torch.Tensor | None]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(None if t is None else t.data_ptr() for t in tensors))
