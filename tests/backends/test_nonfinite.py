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

from mnist_lite.backends import nonfinite
from mnist_lite.training.trainer import Trainer

BAD = (float("nan"), float("inf"), float("-inf"))
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "SGD": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
    "AdamW": lambda m: torch.optim.AdamW(m.parameters(), lr=0.1),
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
    assert nonfinite.all_finite(backward(module), module)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_loss_is_seen(bad: float):
    module = network()
    backward(module)
    assert not nonfinite.all_finite(torch.tensor(bad), module)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("which", range(3))
def test_one_bad_number_in_any_gradient_is_seen(which: int, bad: float):
    module = network()
    loss = backward(module)
    gradient = list(module.parameters())[which].grad
    assert gradient is not None
    for place in range(gradient.numel()):
        kept = gradient.flatten()[place].item()
        gradient.view(-1)[place] = bad
        assert not nonfinite.all_finite(loss, module)
        gradient.view(-1)[place] = kept
    assert nonfinite.all_finite(loss, module)


def test_large_numbers_are_no_alarm():
    module = network()
    loss = backward(module)
    for parameter in module.parameters():
        assert parameter.grad is not None
        parameter.grad.fill_(3e38)  # whose square is not finite
    assert nonfinite.all_finite(loss, module)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("step", [nonfinite.step_if, nonfinite.step_and_undo])
def test_a_step_is_taken_if_all_is_well_and_only_then(step: Callable[..., None], name: str):
    module = network()
    plain = copy.deepcopy(module)
    optimizer, reference = OPTIMIZERS[name](module), OPTIMIZERS[name](plain)
    for _ in range(3):
        optimizer.zero_grad()
        reference.zero_grad()
        step(nonfinite.all_finite(backward(module), module), optimizer)
        backward(plain)
        reference.step()
    assert equal(module, plain)
    optimizer.zero_grad()
    loss = backward(module)
    next(module.parameters()).grad[0, 0] = float("nan")  # type: ignore[index]
    step(nonfinite.all_finite(loss, module), optimizer)
    assert equal(module, plain)


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


class NoQuestions(TorchDispatchMode):
    """Fails when the value of a tensor is asked for: on a GPU that is where the host waits."""

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default:
            # torch's average of weights counts on the CPU wherever the weights are
            assert any("swa_utils" in frame.filename for frame in traceback.extract_stack()), "a value is asked for"
        return function(*args, **(kwargs or {}))


def test_asking_for_a_value_would_be_seen():
    with NoQuestions(), pytest.raises(AssertionError, match="asked for"):
        torch.ones(1).item()


def test_the_counter_of_the_average_is_on_the_cpu():
    assert AveragedModel(nn.Linear(1, 1, device="meta")).n_averaged.device.type == "cpu"


@pytest.mark.parametrize("more", [(), ("ema_decay=0.9",), ("clip_grad_norm=1",), ("augment=strong", "l1=0.001")])
def test_no_step_asks_the_device_for_a_value(more: tuple[str, ...], composed: Any, monkeypatch: pytest.MonkeyPatch):
    """As on a GPU: the update is taken back on the device, and figures are read in packets."""
    from tests.training.trainers import BASE, trainer

    monkeypatch.setattr("mnist_lite.training.trainer.step_if", nonfinite.step_and_undo)
    ready: Trainer = trainer(composed(*BASE, *more))
    ready._recorder._size = 32
    ready.epoch = 1
    batches = ready._batches()
    with NoQuestions():
        for batch in batches:
            ready._train_step(batch)
            assert ready._recorder.ready() == []
