from __future__ import annotations

import copy
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils._python_dispatch import TorchDispatchMode

from mnist_lite.backends import finite_step
from mnist_lite.training.trainer import Trainer

BAD = (float("nan"), float("inf"), float("-inf"))
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "SGD": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
    "AdamW": lambda m: torch.optim.AdamW(m.parameters(), lr=0.1),
    "SGD, fused": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "AdamW, fused": lambda m: torch.optim.AdamW(m.parameters(), lr=0.1, fused=True),
    "RMSprop": lambda m: torch.optim.RMSprop(m.parameters(), lr=0.1),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))


def backward(module: nn.Module) -> torch.Tensor:
    loss: torch.Tensor = module(torch.randn(7, 5, generator=torch.Generator().manual_seed(1))).square().mean()
    loss.backward()
    return loss


def test_finite_numbers_are_finite():
    module = network()
    assert finite_step.all_finite(backward(module), module)


@pytest.mark.parametrize("bad", BAD)
def test_a_nonfinite_loss_is_detected(bad: float):
    module = network()
    backward(module)
    assert not finite_step.all_finite(torch.tensor(bad), module)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("which", range(3))
def test_one_nonfinite_value_in_any_gradient_is_detected(which: int, bad: float):
    module = network()
    loss = backward(module)
    gradient = list(module.parameters())[which].grad
    assert gradient is not None
    for place in range(gradient.numel()):
        kept = gradient.flatten()[place].item()
        gradient.view(-1)[place] = bad
        assert not finite_step.all_finite(loss, module)
        gradient.view(-1)[place] = kept
    assert finite_step.all_finite(loss, module)


def test_large_finite_gradients_are_accepted():
    module = network()
    loss = backward(module)
    for parameter in module.parameters():
        assert parameter.grad is not None
        parameter.grad.fill_(3e38)  # whose square is not finite
    assert finite_step.all_finite(loss, module)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("step", [finite_step.step_if, finite_step.step_on_device])
def test_a_step_is_made_only_if_all_values_are_finite(step: Callable[..., None], name: str):
    module = network()
    plain = copy.deepcopy(module)
    optimizer, reference = OPTIMIZERS[name](module), OPTIMIZERS[name](plain)
    for _ in range(3):
        optimizer.zero_grad()
        reference.zero_grad()
        step(finite_step.all_finite(backward(module), module), optimizer)
        backward(plain)
        reference.step()
    assert equal(module, plain)
    optimizer.zero_grad()
    loss = backward(module)
    next(module.parameters()).grad[0, 0] = float("nan")  # type: ignore[index]
    step(finite_step.all_finite(loss, module), optimizer)
    assert equal(module, plain)


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


class NoHostReads(TorchDispatchMode):
    """Fails when the host reads the value of a tensor. On a GPU, the host would wait there."""

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default:
            # the counter of torch's AveragedModel is on the CPU, on every device
            assert any("_update_average" in frame.name for frame in traceback.extract_stack()), "the host reads a value"
        return function(*args, **(kwargs or {}))


def test_reading_a_value_is_detected():
    with NoHostReads(), pytest.raises(AssertionError, match="reads a value"):
        torch.ones(1).item()


def test_the_counter_of_the_average_is_on_the_cpu():
    assert AveragedModel(nn.Linear(1, 1, device="meta")).n_averaged.device.type == "cpu"


@pytest.mark.parametrize("more", [(), ("ema_decay=0.9",), ("clip_grad_norm=1",), ("augment=strong", "l1=0.001")])
def test_no_step_reads_a_value_from_the_device(more: tuple[str, ...], composed: Any, monkeypatch: pytest.MonkeyPatch):
    """As on a GPU: the device decides whether a step is made, and metrics are read in packets."""
    from tests.training.trainers import BASE, trainer

    monkeypatch.setattr("mnist_lite.backends.weight_update.step_if", finite_step.step_on_device)
    ready: Trainer = trainer(composed(*BASE, *more))
    ready._recorder._size = 32
    ready.epoch = 1
    batches = ready._batches()
    with NoHostReads():
        for batch in batches:
            ready._train_step(batch)
            assert ready._recorder.ready() == []
