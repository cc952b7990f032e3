from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from mnist_lite.backends import without_compiler
from mnist_lite.training.optimizer import optimizer_classes

NAMES = sorted(optimizer_classes())


def network() -> nn.Sequential:
    torch.manual_seed(0)
    # No biases: Muon takes matrices only.
    return nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False))


def torch_step(optimizer: torch.optim.Optimizer) -> None:
    optimizer.step()


def backward(module: nn.Module, seed: int) -> None:
    module.zero_grad()
    module(torch.randn(7, 5, generator=torch.Generator().manual_seed(seed))).square().mean().backward()


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_that_of_torch(name: str, scheduled: bool, recwarn: pytest.WarningsRecorder):
    start = network()
    results = []
    for step in (torch_step, without_compiler.step):
        module = copy.deepcopy(start)
        optimizer = optimizer_classes()[name](module.parameters(), lr=0.01)  # type: ignore[call-arg]
        scheduler = StepLR(optimizer, 1, 0.5) if scheduled else None
        for seed in range(3):
            backward(module, seed)
            step(optimizer)
            if scheduler is not None:
                scheduler.step()
        results.append((module.state_dict(), optimizer.state_dict()))
    (weights, state), (own_weights, own_state) = results
    assert any(not torch.equal(weights[key], start.state_dict()[key]) for key in weights)
    torch.testing.assert_close(own_weights, weights, rtol=0, atol=0)
    torch.testing.assert_close(own_state["state"], state["state"], rtol=0, atol=0)
    assert own_state["param_groups"] == state["param_groups"]
    assert not recwarn.list


CODE = """
import sys
import torch
from mnist_lite.backends import without_compiler
from mnist_lite.training.optimizer import build_optimizer, optimizer_classes
from mnist_lite.training.schedule import build_schedule

for name in optimizer_classes():
    module = torch.nn.Linear(3, 2, bias=False)
    optimizer = build_optimizer({"name": name}, module)
    build_schedule({"name": "StepLR", "step_size": 1, "interval": "epoch"}, optimizer, 2, 5, False)
    optimizer.zero_grad()
    module(torch.randn(4, 3)).square().mean().backward()
    without_compiler.step(optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    print(name, sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""


def test_optimizers_do_not_import_the_compiler_of_torch():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == [f"{name} []" for name in NAMES]
