"""Builds the optimiser: any class of ``torch.optim``, by its own name and keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mnist_lite.config.signature import bind
from mnist_lite.errors import UserError, did_you_mean

OURS = ("name", "decay_bias_and_norm")
NEEDS_CLOSURE_OR_SPARSE = ("LBFGS", "SparseAdam")


def optimizer_classes() -> dict[str, type[torch.optim.Optimizer]]:
    """The classes of ``torch.optim`` that a plain training step can use, by name."""
    return {
        name: member
        for name, member in vars(torch.optim).items()
        if inspect.isclass(member)
        and issubclass(member, torch.optim.Optimizer)
        and member is not torch.optim.Optimizer
        and name not in NEEDS_CLOSURE_OR_SPARSE
    }


def build_optimizer(config: Mapping[str, Any], module: nn.Module) -> torch.optim.Optimizer:
    """The optimiser that ``config`` names, over the parameters of ``module``.

    With ``decay_bias_and_norm: false``, biases and the parameters of norms (all that are one-dimensional) get
    ``weight_decay`` 0.

    Raises:
        UserError: no such class, an argument that it does not take, or a value that it refuses.
    """
    classes = optimizer_classes()
    name = str(config.get("name"))
    if name in NEEDS_CLOSURE_OR_SPARSE:
        raise UserError(f"optimizer.name: {name} needs a closure or sparse gradients, which this loop does not have")
    if name not in classes:
        raise UserError(f"optimizer.name: no class {name!r} in torch.optim; {did_you_mean(name, classes)}")
    given = {key: value for key, value in config.items() if key not in OURS}
    arguments = bind(classes[name], given, "optimizer", supplied=("params",))
    spare = config.get("decay_bias_and_norm", True)
    if not isinstance(spare, bool):
        raise UserError(f"optimizer.decay_bias_and_norm: {spare!r} is not allowed; expected true or false")
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if not spare and "weight_decay" in inspect.signature(classes[name]).parameters:
        groups = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
    for key in ("lr", "weight_decay"):
        if key in arguments and not 0 <= arguments[key] < float("inf"):
            raise UserError(f"optimizer.{key}: {arguments[key]} is out of range; expected a finite number >= 0")
    if "momentum" in arguments and not 0 <= arguments["momentum"] < 1:  # at 1 the sum of past gradients never decays
        raise UserError(f"optimizer.momentum: {arguments['momentum']} is out of range; expected >= 0 and < 1")
    try:
        return classes[name](groups, **arguments)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"optimizer: {name} refuses its arguments: {error}") from error


@torch.no_grad()
def add_l1(module: nn.Module, weight: float) -> None:
    """Adds to every gradient that of ``weight`` times the sum of absolute parameters."""
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad.add_(parameter.sign(), alpha=weight)
