"""Records a computation on a GPU once, and replays it: a CUDA graph.

A training step of a small network is 100 to 300 short operations. Python needs longer to start each of them than the GPU
needs to finish it, so the GPU waits. A replay starts all operations of the recording with one call. The results are the same
to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from mnist_lite.backends.backend import StepResult

WARM_UP_STEPS = 3
"""Steps that are computed before the recording. In them, libraries choose their algorithms, and constants are cached."""

Gradients = Callable[[torch.Tensor, int], StepResult]
"""``gradients(indices, seed)``: sets the gradients of a network for the training images ``indices`` ``(N,)``."""


@dataclass(frozen=True)
class _Recording:
    """A recorded step. A replay reads ``indices``, and writes to the other tensors."""

    graph: torch.cuda.CUDAGraph
    indices: torch.Tensor
    result: StepResult
    gradients: list[torch.Tensor | None]


class GraphedGradients:
    """Computes ``gradients``. From the fourth batch of the full size on, it replays a recording.

    A recording is for one batch size. The last batch of an epoch can be smaller, and is computed without it.
    """

    def __init__(self, gradients: Gradients, module: nn.Module, batch_size: int, draws: torch.Generator) -> None:
        """``gradients`` sets the gradients of ``module``, and starts no work that makes the host wait for the GPU.

        It may use random numbers from ``draws`` and from torch's generator of the GPU. Other random numbers would be the
        same in every replay.
        """
        self._compute, self._parameters = gradients, list(module.parameters())
        self._batch_size, self._draws = batch_size, draws
        self._full_batches = 0
        self._recording: _Recording | None = None

    def __call__(self, indices: torch.Tensor, seed: int) -> StepResult:
        """Sets the gradients. The random numbers of dropout depend on ``seed`` only."""
        if len(indices) != self._batch_size:
            return self._compute(indices, seed)
        self._full_batches += 1
        if self._full_batches <= WARM_UP_STEPS:
            return self._compute(indices, seed)
        if self._recording is None:
            self._recording = self._record(indices, seed)
        recording = self._recording
        recording.indices.copy_(indices)
        torch.manual_seed(seed)
        recording.graph.replay()
        # A batch of another size has left other gradient tensors.
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        result = recording.result  # the next replay overwrites it
        return StepResult(result.loss.clone(), result.correct.clone(), result.finite.clone())

    def _record(self, indices: torch.Tensor, seed: int) -> _Recording:
        """The recording. Nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._draws)
        indices = indices.clone()
        # thread_local: a thread of the user, such as one of a notebook, may use the GPU meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = self._compute(indices, seed)
        return _Recording(graph, indices, result, [parameter.grad for parameter in self._parameters])
