from __future__ import annotations

import pytest
import torch
from torch import nn

from mnist_lite.errors import UserError
from mnist_lite.training.optimizer import build_optimizer, optimizer_classes
from tests.conftest import Compose

SHIPPED = {
    "sgd": torch.optim.SGD,
    "nesterov": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_file_steps_like_torch_used_by_hand(name, composed):
    config = {**composed(f"optimizer={name}").optimizer, "decay_bias_and_norm": True, "weight_decay": 0.01}
    ours, theirs = network(), network()
    left = build_optimizer(config, ours)
    arguments = {
        k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k not in {"name", "decay_bias_and_norm"}
    }
    right = SHIPPED[name](theirs.parameters(), **arguments)
    assert type(left) is SHIPPED[name]
    x = torch.randn(8, 1, 28, 28)
    for _ in range(3):
        for module, optimizer in ((ours, left), (theirs, right)):
            optimizer.zero_grad()
            module(x).pow(2).mean().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_nesterov_file_is_nesterov(composed):
    assert composed("optimizer=nesterov").optimizer["nesterov"] is True
    assert composed("optimizer=sgd").optimizer["nesterov"] is False


@pytest.mark.parametrize("name", sorted(set(optimizer_classes()) - {"Muon"}))
def test_any_class_of_torch_optim(name):
    assert type(build_optimizer({"name": name, "lr": 0.01}, network())) is getattr(torch.optim, name)


def test_weight_decay_can_spare_biases_and_norms():
    module = network()
    optimizer = build_optimizer({"name": "SGD", "lr": 0.1, "weight_decay": 0.5, "decay_bias_and_norm": False}, module)
    for parameter in module.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    decayed = {name: float(parameter.detach().flatten()[0]) for name, parameter in module.named_parameters()}
    assert decayed == pytest.approx(
        {"0.weight": 0.95, "0.bias": 1, "1.weight": 1, "1.bias": 1, "3.weight": 0.95, "3.bias": 1}
    )


def test_torchs_own_default_decay_is_spared_too():
    optimizer = build_optimizer({"name": "AdamW", "lr": 0.1, "decay_bias_and_norm": False}, network())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "SGDD", "lr": 0.1}, "did you mean SGD?"),
        ({"name": "Optimizer", "lr": 0.1}, "optimizer.name"),
        ({"name": "LBFGS", "lr": 0.1}, "optimizer.name"),
        ({"name": "os.system", "lr": 0.1}, "optimizer.name"),
        ({"lr": 0.1}, "optimizer.name"),
        ({"name": "SGD", "lr": 0.1, "momentm": 0.9}, "optimizer.momentm: unknown key; did you mean momentum?"),
        ({"name": "SGD", "lr": "fast"}, "optimizer.lr: 'fast' is not allowed; expected a finite number"),
        ({"name": "SGD", "lr": -0.1}, "optimizer.lr: -0.1 is out of range"),
        ({"name": "SGD", "momentum": 1}, "optimizer.momentum: 1.0 is out of range; expected >= 0 and < 1"),
        ({"name": "RMSprop", "momentum": 9}, "optimizer.momentum: 9.0 is out of range; expected >= 0 and < 1"),
        ({"name": "SGD", "lr": float("nan")}, "optimizer.lr"),
        ({"name": "SGD", "lr": 0.1, "nesterov": 1}, "optimizer.nesterov: 1 is not allowed; expected true or false"),
        ({"name": "SGD", "lr": 0.1, "nesterov": True}, "SGD refuses"),
        ({"name": "Adam", "betas": [0.9]}, "optimizer.betas"),
        ({"name": "Adam", "betas": [0.9, 1.5]}, "Adam refuses"),
        ({"name": "SGD", "lr": 0.1, "decay_bias_and_norm": "no"}, "optimizer.decay_bias_and_norm"),
        ({"name": "SGD", "lr": 0.1, "params": []}, "optimizer.params: unknown key"),
        ({"name": "SGD", "lr": True}, "optimizer.lr"),
    ],
)
def test_bad_arguments_are_one_line(config, said):
    with pytest.raises(UserError) as caught:
        build_optimizer(config, network())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("choice", ["sgd", "nesterov", "adam", "adamw"])
def test_the_fused_step_of_the_shipped_configs_is_the_plain_one(choice: str, composed: Compose):
    config = composed(f"optimizer={choice}").optimizer
    assert config["fused"] is True
    found = []
    for fused in (True, False):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(9, 7, bias=False), nn.BatchNorm1d(7), nn.Linear(7, 3))
        optimizer = build_optimizer({**config, "fused": fused}, module)
        for _ in range(20):
            optimizer.zero_grad()
            module(torch.randn(16, 9)).square().mean().backward()
            optimizer.step()
        found.append([p.detach().clone() for p in module.parameters()])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
