"""Records a training step on a GPU once, and replays it: a CUDA graph.

A training step of a small network is 100 to 300 short operations. Python needs longer to start each of them than the GPU
needs to finish it, so the GPU waits. A replay starts all operations of the recording with one call. The results are the same
to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from mnist_lite.backends.backend import StepResult

WARM_UP_STEPS = 3
"""Steps that are computed before the recording. In them, libraries choose their algorithms, and constants are cached."""
RECORDED_OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""With ``fused: true``, they read the learning rate from a tensor, and do not wait for the GPU."""

OnBatch = Callable[[torch.Tensor, int], StepResult]
"""``function(indices, seed)``: computes with the training images ``indices`` ``(N,)``. ``seed`` is for dropout."""
Update = Callable[[torch.Tensor], None]
"""``update(finite)``: updates the weights if ``StepResult.finite`` is true."""


class RateTensors:
    """The learning rates of an optimizer, as tensors on its device.

    A recording has the address of a tensor, but it has a copy of a number. So a rate that changes must be in a tensor.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self._optimizer = optimizer
        self._rates = [torch.zeros((), device=device) for _ in optimizer.param_groups]

    def read(self) -> None:
        """Writes the rates of the optimizer to the tensors."""
        for rate, group in zip(self._rates, self._optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """In the block, the optimizer has the tensors as its rates, and may be recorded. Afterwards it has its numbers again.

        Schedulers need the numbers: they would wait for the GPU to read a tensor.
        """
        groups = self._optimizer.param_groups
        kept: list[dict[str, Any]] = [{k: group[k] for k in ("lr", "capturable") if k in group} for group in groups]
        for rate, group in zip(self._rates, groups, strict=True):
            group["lr"] = rate
            if "capturable" in group:
                group["capturable"] = True
        try:
            yield
        finally:
            for group, old in zip(groups, kept, strict=True):
                group.update(old)


@dataclass(frozen=True)
class _Recording:
    """A recorded step. A replay reads ``indices``, and writes to the other tensors."""

    graph: torch.cuda.CUDAGraph
    indices: torch.Tensor
    result: StepResult
    metrics: torch.Tensor
    """The three numbers of ``result`` as float32."""
    gradients: list[torch.Tensor | None]
    settings: list[dict[str, Any]] | None
    """The optimizer's settings, which are numbers in the recording. None: the recording ends before the update."""


class GraphedStep:
    """Computes the gradients and updates the weights. From the fourth batch of the full size on, it replays a recording.

    A recording is for one batch size. The last batch of an epoch can be smaller, and is computed without it.

    The update is part of the recording if the optimizer is one of ``RECORDED_OPTIMIZERS``, and if only its learning rate
    changes. With ``cycle_momentum``, a schedule also changes the momentum: then the update is computed after each replay.
    """

    def __init__(
        self,
        gradients: OnBatch,
        update: Update,
        optimizer: torch.optim.Optimizer,
        batch_size: int,
        draws: torch.Generator,
    ) -> None:
        """``gradients`` sets the gradients of the parameters of ``optimizer``, and ``update`` updates the parameters.

        Both start no work that makes the host wait for the GPU. They may use random numbers from ``draws`` and from torch's
        generator of the GPU. Other random numbers would be the same in every replay.
        """
        self._gradients, self._update, self._optimizer = gradients, update, optimizer
        self._batch_size, self._draws = batch_size, draws
        self._full_batches = 0
        self._recording: _Recording | None = None
        self._rates: RateTensors | None = None
        if type(optimizer) in RECORDED_OPTIMIZERS and optimizer.defaults["fused"]:
            self._rates = RateTensors(optimizer, draws.device)

    def __call__(self, indices: torch.Tensor, seed: int) -> StepResult:
        """Makes the step. The random numbers of dropout depend on ``seed`` only."""
        if self._rates is not None:
            self._rates.read()
        if len(indices) != self._batch_size:
            return self._compute(indices, seed)
        self._full_batches += 1
        if self._full_batches <= WARM_UP_STEPS:
            return self._compute(indices, seed)
        if self._recording is not None and self._recording.settings not in (None, self._settings()):
            self._recording = self._rates = None
        if self._recording is None:
            self._recording = self._record(indices, seed)
        return self._replay(self._recording, indices, seed)

    def _compute(self, indices: torch.Tensor, seed: int) -> StepResult:
        result = self._gradients(indices, seed)
        if self._rates is None:
            self._update(result.finite)
        else:
            with self._rates.in_use():
                self._update(result.finite)
        return result

    def _record(self, indices: torch.Tensor, seed: int) -> _Recording:
        """The recording. Nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._draws)
        indices = indices.clone()
        settings = None if self._rates is None else self._settings()
        # thread_local: a thread of the user, such as one of a notebook, may use the GPU meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = (self._gradients if settings is None else self._compute)(indices, seed)
            metrics = torch.stack([result.loss.float(), result.correct.float(), result.finite.float()])
        return _Recording(graph, indices, result, metrics, [p.grad for p in self._parameters()], settings)

    def _replay(self, recording: _Recording, indices: torch.Tensor, seed: int) -> StepResult:
        recording.indices.copy_(indices)
        torch.manual_seed(seed)
        recording.graph.replay()
        if recording.settings is None:
            # A batch of another size has left other gradient tensors.
            for parameter, gradient in zip(self._parameters(), recording.gradients, strict=True):
                parameter.grad = gradient
            self._update(recording.result.finite)
        loss, correct, finite = recording.metrics.clone()  # the next replay overwrites them
        return StepResult(loss, correct, finite)

    def _parameters(self) -> list[torch.Tensor]:
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    def _settings(self) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in group.items() if key not in ("params", "lr")}
            for group in self._optimizer.param_groups
        ]
