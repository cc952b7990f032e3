"""The recording of a step, with a stand-in for a CUDA graph. ``tests/training/test_cuda.py`` has the tests on a GPU."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.backends.backend import StepResult
from mnist_lite.backends.cuda_graph import WARM_UP_STEPS, GraphedStep

SIZE, STEPS, SMALLER = 4, 9, 6
"""Images of a batch, number of steps, and the step with a smaller batch."""
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "AdamW, an empty group": lambda p: torch.optim.AdamW([{"params": p}, {"params": []}], lr=0.1, fused=True),
    "SGD, not fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
}


class StandIn:
    """A CUDA graph on the CPU: a replay calls the recorded function, and copies its results to the recorded tensors."""

    def __init__(self) -> None:
        self.generators: list[torch.Generator] = []
        self.replay: Callable[[], None] = lambda: None

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.generators.append(generator)


class Training:
    """Minimises ``weight * (sum(images[indices]) + noise)``, with a new learning rate in each step."""

    def __init__(self, optimizer: str) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.module.weight)
        self.optimizer = OPTIMIZERS[optimizer](self.module.parameters())
        self.images, self.draws = torch.arange(20.0), torch.Generator()
        self.replaying = False
        self.replays = self.updates = 0
        self.graphs: list[StandIn] = []
        self.graphed: GraphedStep | None = None

    def gradients(self, indices: torch.Tensor, seed: int) -> StepResult:
        if not self.replaying:
            torch.manual_seed(seed)
        noise = torch.rand(()) + torch.rand((), generator=self.draws)
        self.module.weight.grad = (self.images[indices].sum() + noise).view(1, 1)
        return StepResult(noise + indices[0], indices.sum(), torch.tensor(True))

    def update(self, finite: torch.Tensor) -> None:
        assert finite
        self.updates += 1
        self.optimizer.step()

    def step(self, indices: torch.Tensor, seed: int) -> StepResult:
        """A step without a recording."""
        result = self.gradients(indices, seed)
        self.update(result.finite)
        return result

    @contextlib.contextmanager
    def record(self, graph: StandIn, capture_error_mode: str) -> Iterator[None]:
        """Stands for ``torch.cuda.graph``: the block is run, and what it changed is taken back."""
        graphed = self.graphed
        assert graphed is not None
        weight, draws = self.module.weight.detach().clone(), self.draws.get_state()
        values = [value for state in self.optimizer.state.values() for value in state.values()]
        kept = copy.deepcopy(values)
        yield
        self.module.weight.data.copy_(weight)
        self.draws.set_state(draws)
        for value, old in zip(values, kept, strict=True):
            value.copy_(old)
        self.updates -= graphed._rates is not None

        def replay() -> None:
            recording = graphed._recording
            assert recording is not None
            self.replaying = True
            self.replays += 1
            new = (self.gradients if recording.settings is None else graphed._compute)(recording.indices, 0)
            self.replaying = False
            recording.result.finite.copy_(new.finite)
            recording.metrics.copy_(torch.stack([new.loss, new.correct.float(), new.finite.float()]))
            [gradient] = recording.gradients
            assert gradient is not None and self.module.weight.grad is not None
            gradient.copy_(self.module.weight.grad)
            self.module.weight.grad = None  # a replay sets no attribute of Python

        graph.replay = replay
        self.graphs.append(graph)

    def recorded(self, monkeypatch: pytest.MonkeyPatch) -> GraphedStep:
        monkeypatch.setattr(torch.cuda, "CUDAGraph", StandIn)
        monkeypatch.setattr(torch.cuda, "graph", self.record)
        self.graphed = GraphedStep(self.gradients, self.update, self.optimizer, SIZE, self.draws)
        return self.graphed


def results(
    training: Training, step: Callable[[torch.Tensor, int], StepResult], momentum: Callable[[int], float] | None = None
) -> list[list[float]]:
    """Loss and count of each step, and the weight after it. The losses are read at the end, as in training."""
    found, weights = [], []
    for number in range(1, STEPS + 1):
        size = 2 if number == SMALLER else SIZE
        for group in training.optimizer.param_groups:
            group["lr"] = 2.0**-number  # the same in float32 and in float64
            if momentum is not None:
                group["momentum"] = momentum(number)
        training.draws.manual_seed(number)
        found.append(step(torch.arange(number, number + size), 100 + number))
        weights.append(training.module.weight.item())
        assert training.optimizer.param_groups[0]["lr"] == 2.0**-number
    return [[float(r.loss), float(r.correct), w] for r, w in zip(found, weights, strict=True)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_recorded_step_gives_the_same_results(optimizer: str, monkeypatch: pytest.MonkeyPatch):
    plain, recorded = Training(optimizer), Training(optimizer)
    expected = results(plain, plain.step)
    assert results(recorded, recorded.recorded(monkeypatch)) == expected
    assert recorded.updates == plain.updates == STEPS
    [graph] = recorded.graphs
    assert graph.generators == [recorded.draws]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_full_batches_are_replayed_after_the_warm_up(optimizer: str, monkeypatch: pytest.MonkeyPatch):
    training = Training(optimizer)
    results(training, training.recorded(monkeypatch))
    assert training.replays == STEPS - 1 - WARM_UP_STEPS
    assert len(training.graphs) == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_update_of_a_fused_optimizer_is_recorded(optimizer: str, monkeypatch: pytest.MonkeyPatch):
    training = Training(optimizer)
    graphed = training.recorded(monkeypatch)
    results(training, graphed)
    assert graphed._recording is not None
    assert (graphed._recording.settings is not None) == (optimizer in ("SGD", "AdamW", "AdamW, an empty group"))


def test_a_momentum_that_changes_is_not_in_the_recording(monkeypatch: pytest.MonkeyPatch):
    """It is a number, so a replay would use the old one. The step is recorded again, without the update."""

    def momentum(number: int) -> float:
        return 0.5 if number < 8 else 0.25

    plain, training = Training("SGD"), Training("SGD")
    graphed = training.recorded(monkeypatch)
    assert results(training, graphed, momentum) == results(plain, plain.step, momentum)
    assert len(training.graphs) == 2
    assert graphed._recording is not None and graphed._recording.settings is None


def test_an_error_leaves_the_rate_a_number():
    training = Training("AdamW")
    graphed = GraphedStep(training.gradients, lambda _finite: 1 / 0, training.optimizer, SIZE, training.draws)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        graphed(torch.arange(SIZE), 0)
    [group] = training.optimizer.param_groups
    assert group["lr"] == 0.1 and group["capturable"] is False
