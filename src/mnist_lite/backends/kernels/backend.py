"""Losses, gradients and evaluation by the kernels: the same mathematics as torch's modules and autograd in float32."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from mnist_lite.backends.kernels.build import load
from mnist_lite.backends.kernels.operations import Op, compile_operations
from mnist_lite.backends.torch_backend import StepResult
from mnist_lite.model.layers import Shape

_OUT_OF_MEMORY = "not enough memory for the kernels' maps"


class KernelBackend:
    """Computes with the kernels on ``threads`` threads; the result does not depend on how many.

    What it buys: 4 to 8 times the steps a second of torch's eager modules on the published networks below 20,000 parameters
    (docs/performance.md). Why: a vector holds the same pixel of 16 images, so that odd channel counts and map sizes waste
    nothing; convolutions add up in registers; batch norm, ReLU and dropout pass once over maps that are still in the cache;
    masks are a hash of their place, drawn again where they are needed, not stored.
    """

    name = "kernels"

    def __init__(self, module: nn.Sequential, shape: Shape, label_smoothing: float, threads: int) -> None:
        """``module`` takes images of ``shape`` ``(C, H, W)``, and its parameters are float32 on the CPU.

        Raises:
            UnsupportedError: a layer that the kernels do not have.
            BuildError: there is no compiler, or it fails.
        """
        made = compile_operations(module, shape)
        self._library = load()
        self.version = Path(self._library._name).stem
        ops = (Op * len(made.ops))(*made.ops)
        self._net = self._library.mnist_lite_new(ops, len(ops), threads)
        if not self._net:
            raise MemoryError(_OUT_OF_MEMORY)
        weakref.finalize(self, self._library.mnist_lite_delete, self._net)
        self._module, self._names, self._smoothing = module, made.tensors, label_smoothing
        self._known = weakref.WeakKeyDictionary[nn.Module, list[torch.Tensor]]()
        self._parameters = list(module.parameters())
        sizes = [p.numel() for p in module.parameters()]
        self._gradients = torch.zeros(sum(sizes))
        self._views = [
            part.view_as(p) for part, p in zip(self._gradients.split(sizes), module.parameters(), strict=True)
        ]
        by_name = dict(zip(dict(module.named_parameters()), self._views, strict=True))
        self._targets = _addresses([by_name.get(name) for name in self._names])

    def gradients(self, inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> StepResult:
        """As ``Eager.gradients``. ``inputs`` ``(N, C, H, W)`` float32, ``labels`` ``(N,)`` int64."""
        loss, correct, finite = self._run(self._module, inputs, labels, self._targets, seed, self._smoothing)
        for parameter, gradient in zip(self._parameters, self._views, strict=True):
            parameter.grad = gradient
        figures = torch.tensor([loss / len(inputs), correct])
        return StepResult(figures[0], figures[1], torch.tensor(finite > 0))

    def evaluate(self, network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """As ``Eager.judge``."""
        return torch.tensor(self._run(network, inputs, labels, None, 0, 0.0)[:2], dtype=torch.float64)

    def _run(
        self,
        network: nn.Module,
        inputs: torch.Tensor,
        labels: torch.Tensor,
        targets: ctypes.Array[ctypes.c_void_p] | None,
        seed: int,
        smoothing: float,
    ) -> tuple[float, float, float]:
        inputs, labels = inputs.contiguous(), labels.contiguous()
        assert inputs.dtype == torch.float32 and labels.dtype == torch.int64
        figures = (ctypes.c_double * 3)()
        images, targets_ = inputs.data_ptr(), labels.data_ptr()
        if self._library.mnist_lite_run(
            *(
                self._net,
                images,
                targets_,
                len(inputs),
                _addresses(self._of(network)),
                targets,
                seed,
                smoothing,
                figures,
            )
        ):
            raise MemoryError(_OUT_OF_MEMORY)
        return figures[0], figures[1], figures[2]

    def _of(self, network: nn.Module) -> list[torch.Tensor]:
        """The tensors of ``network`` that the operations number; looked up once, since modules are slow to list theirs."""
        if network not in self._known:
            state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
            self._known[network] = [state[name] for name in self._names]
            assert all(t.is_contiguous() and t.dtype in (torch.float32, torch.int64) for t in self._known[network])
        return self._known[network]


def _addresses(tensors: Sequence[torch.Tensor | None]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(None if t is None else t.data_ptr() for t in tensors))
