"""The update of the weights by the kernels, against torch's optimizers in float64."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.kernels.weight_update import KernelUpdate
from mnist_lite.backends.weight_update import WeightUpdate
from mnist_lite.training.optimizer import build_optimizer

STEPS = 5
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "momentum": {"name": "SGD", "lr": 0.1, "momentum": 0.9},
    "dampening": {"name": "SGD", "lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1},
    "nesterov": {"name": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
    "adam": {"name": "Adam", "lr": 0.05, "betas": [0.8, 0.95], "eps": 0.01, "weight_decay": 0.1},
    "adamw": {"name": "AdamW", "lr": 0.05, "weight_decay": 0.3},
    "rmsprop": {"name": "RMSprop", "lr": 0.01, "alpha": 0.9, "weight_decay": 0.1},
    "rmsprop_momentum": {"name": "RMSprop", "lr": 0.01, "momentum": 0.9, "eps": 0.01},
}
SETTINGS: tuple[dict[str, Any], ...] = ({}, {"l1": 0.01}, {"clip_grad_norm": 0.5}, {"clip_grad_norm": 1e6, "l1": 0.02})


def network(width: int = 7) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, 10)
    )


def updates(
    optimizer: dict[str, Any], width: int = 7, threads: int = 1, **settings: Any
) -> tuple[WeightUpdate, WeightUpdate]:
    """The same updates on the same gradients: by the kernels in float32, and by torch in float64."""
    ours = network(width)
    theirs = copy.deepcopy(ours).double()
    backend = KernelBackend(ours, (1, 8, 8), 0.0, threads)
    config = {"decay_bias_and_norm": False, **optimizer}
    ours_update = WeightUpdate(ours, build_optimizer(config, ours), **settings)
    theirs_update = WeightUpdate(theirs, build_optimizer(config, theirs), **settings)
    update = backend.prepare_update(ours_update)
    assert isinstance(update, KernelUpdate)
    random = torch.Generator().manual_seed(1)
    for step in range(STEPS):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            gradient = torch.randn(a.shape, generator=random)
            if a.grad is None:
                a.grad = torch.empty_like(a)
            a.grad.copy_(gradient)
            b.grad = gradient.double()
        for module in (ours, theirs):
            module[1].running_mean.fill_(0.1 * step)  # type: ignore[operator]
            module[1].num_batches_tracked.fill_(step + 1)  # type: ignore[operator]
        for optimizer_ in (ours_update.optimizer, theirs_update.optimizer):
            for number, group in enumerate(optimizer_.param_groups):  # as a scheduler does
                group["lr"] = float(optimizer["lr"] / (1 + step + number))
        update(torch.tensor(True))
        theirs_update(torch.tensor(True))
    return ours_update, theirs_update


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        torch.testing.assert_close(value.double(), theirs[key].double(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_weights_and_the_state_are_those_of_torch(name: str, settings: dict[str, Any]):
    ours, theirs = updates(OPTIMIZERS[name], **settings)
    assert_same(ours.module.state_dict(), theirs.module.state_dict())
    left, right = (update.optimizer.state_dict()["state"] for update in (ours, theirs))
    assert list(left) == list(right)
    for number in left:
        state = {key: value for key, value in left[number].items() if value is not None}
        assert state
        assert_same(state, {key: value for key, value in right[number].items() if value is not None})


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_is_that_of_torch(decay: float):
    ours, theirs = updates(OPTIMIZERS["adamw"], ema_decay=decay)
    assert ours.average is not None and theirs.average is not None
    assert_same(ours.average.state_dict(), theirs.average.state_dict())
    weights, averages = ours.module[0].weight, ours.average.module[0].weight  # type: ignore[index]
    assert not torch.equal(weights, averages)


def test_many_parameters_are_updated_by_several_threads_with_the_same_bits():
    one, two = (updates(OPTIMIZERS["adamw"], width=200, threads=n)[0].module for n in (1, 2))
    assert sum(p.numel() for p in one.parameters()) > 50_000
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_nothing_changes_if_the_step_was_not_finite():
    ours, _ = updates(OPTIMIZERS["momentum"], ema_decay=0.9)
    assert ours.average is not None
    backend = KernelBackend(ours.module, (1, 8, 8), 0.0, 1)  # type: ignore[arg-type]
    before = copy.deepcopy((ours.module.state_dict(), ours.average.state_dict(), ours.optimizer.state_dict()["state"]))
    backend.prepare_update(ours)(torch.tensor(False))
    assert_same(ours.module.state_dict(), before[0])
    assert_same(ours.average.state_dict(), before[1])
    assert_same(ours.optimizer.state_dict()["state"][0], before[2][0])


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "SGD", "lr": 0.1},
        {"name": "Adam", "lr": 0.1, "amsgrad": True},
        {"name": "RMSprop", "lr": 0.1, "centered": True},
        {"name": "Adadelta", "lr": 1.0},
    ],
    ids=lambda optimizer: optimizer["name"],
)
def test_other_optimizers_stay_with_torch(optimizer: dict[str, Any]):
    module = network()
    update = WeightUpdate(module, build_optimizer(optimizer, module))
    assert KernelBackend(module, (1, 8, 8), 0.0, 1).prepare_update(update) is update
