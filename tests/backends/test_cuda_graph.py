"""The recording of a step, with a stand-in for a CUDA graph. ``tests/training/test_cuda.py`` has the tests on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.backends.backend import StepResult
from mnist_lite.backends.cuda_graph import WARM_UP_STEPS, GraphedGradients

SIZE = 4


class StandIn:
    """A CUDA graph on the CPU: a replay calls the recorded function, and copies its results to the recorded tensors."""

    def __init__(self) -> None:
        self.generators: list[torch.Generator] = []
        self.replay: Callable[[], None] = lambda: None

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.generators.append(generator)


class Step:
    """The gradient of ``weight * (sum(images[indices]) + noise)``."""

    def __init__(self) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        self.images, self.draws = torch.arange(20.0), torch.Generator()
        self.replaying = False
        self.replays = 0
        self.graphs: list[StandIn] = []

    def compute(self, indices: torch.Tensor, seed: int) -> StepResult:
        if not self.replaying:
            torch.manual_seed(seed)
        noise = torch.rand(()) + torch.rand((), generator=self.draws)
        self.module.weight.grad = (self.images[indices].sum() + noise).view(1, 1)
        return StepResult(noise + indices[0], indices.sum(), torch.tensor(True))

    @contextlib.contextmanager
    def record(self, graph: StandIn, capture_error_mode: str) -> Iterator[None]:
        """Stands for ``torch.cuda.graph``: remembers the tensors that the computation in the block makes."""
        made: list[Any] = []
        compute = self.compute

        def remember(indices: torch.Tensor, seed: int) -> StepResult:
            before = self.draws.get_state()
            result = compute(indices, seed)
            self.draws.set_state(before)  # a recording draws no numbers
            made[:] = [indices, result, self.module.weight.grad]
            return result

        def replay() -> None:
            indices, result, gradient = made
            self.replaying = True
            self.replays += 1
            new = compute(indices, 0)
            self.replaying = False
            for name in ("loss", "correct", "finite"):
                getattr(result, name).copy_(getattr(new, name))
            gradient.copy_(self.module.weight.grad)
            self.module.weight.grad = None  # a replay sets no attribute of Python

        self.graphed._compute = remember
        yield
        self.graphed._compute = compute
        graph.replay = replay
        self.graphs.append(graph)

    def start(self, monkeypatch: pytest.MonkeyPatch) -> GraphedGradients:
        monkeypatch.setattr(torch.cuda, "CUDAGraph", StandIn)
        monkeypatch.setattr(torch.cuda, "graph", self.record)
        self.graphed = GraphedGradients(self.compute, self.module, SIZE, self.draws)
        return self.graphed


def results(step: Step, gradients: Callable[[torch.Tensor, int], StepResult]) -> list[tuple[float, int, float]]:
    """Loss, count and gradient of eight batches. The sixth is smaller, as the last one of an epoch."""
    found, gradient = [], []
    for number in range(8):
        size = 2 if number == 5 else SIZE
        step.draws.manual_seed(number)
        found.append(gradients(torch.arange(number, number + size), 100 + number))
        assert step.module.weight.grad is not None
        gradient.append(float(step.module.weight.grad))
    return [(float(r.loss), int(r.correct), g) for r, g in zip(found, gradient, strict=True)]


def test_a_recorded_step_gives_the_same_results(monkeypatch: pytest.MonkeyPatch):
    """They are read at the end, as in training: a later replay must not change them."""
    plain, recorded = Step(), Step()
    expected = results(plain, plain.compute)
    assert results(recorded, recorded.start(monkeypatch)) == expected
    [graph] = recorded.graphs
    assert graph.generators == [recorded.draws]


def test_full_batches_are_replayed_after_the_warm_up(monkeypatch: pytest.MonkeyPatch):
    step = Step()
    results(step, step.start(monkeypatch))
    assert step.replays == 8 - 1 - WARM_UP_STEPS
    assert len(step.graphs) == 1
