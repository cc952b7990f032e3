"""The optimizer: any class of ``torch.optim``, by its own name and keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import nn

from mnist_lite.backends.without_compiler import skip_compiler_import
from mnist_lite.config.signature import bind
from mnist_lite.errors import UserError, did_you_mean

T = TypeVar("T")
OUR_KEYS = ("name", "decay_bias_and_norm")
"""Keys of the config that are not arguments of the class."""
UNSUPPORTED = ("LBFGS", "SparseAdam")
"""They need a closure or sparse gradients."""


def torch_classes(module: ModuleType, base: type[T], without: Collection[str]) -> dict[str, type[T]]:
    """The classes in a module of torch that are derived from ``base``, by name. Those in ``without`` are left out."""
    return {
        name: member
        for name, member in vars(module).items()
        if inspect.isclass(member) and issubclass(member, base) and member is not base and name not in without
    }


def optimizer_classes() -> dict[str, type[torch.optim.Optimizer]]:
    """The classes of ``torch.optim`` that the training loop supports, by name."""
    return torch_classes(torch.optim, torch.optim.Optimizer, UNSUPPORTED)


def build_optimizer(config: Mapping[str, Any], module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of ``config`` for the parameters of ``module``.

    With ``decay_bias_and_norm: false``, one-dimensional parameters (biases, and the parameters of norms) have
    ``weight_decay`` 0.

    Raises:
        UserError: an unknown class, an unknown argument, or a value that is not allowed.
    """
    classes = optimizer_classes()
    name = str(config.get("name"))
    if name not in classes:
        raise UserError(
            f"optimizer.name: {name!r} is no class of torch.optim that this loop supports; {did_you_mean(name, classes)}"
        )
    values = {key: value for key, value in config.items() if key not in OUR_KEYS}
    arguments = bind(classes[name], values, "optimizer", supplied=("params",))
    decay_all = config.get("decay_bias_and_norm", True)
    if not isinstance(decay_all, bool):
        raise UserError(f"optimizer.decay_bias_and_norm: {decay_all!r} is not allowed; expected true or false")
    for key in ("lr", "weight_decay"):
        if key in arguments and not 0 <= arguments[key] < float("inf"):
            raise UserError(f"optimizer.{key}: {arguments[key]} is out of range; expected a finite number >= 0")
    if "momentum" in arguments and not 0 <= arguments["momentum"] < 1:  # with 1, old gradients would count forever
        raise UserError(f"optimizer.momentum: {arguments['momentum']} is out of range; expected >= 0 and < 1")
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if not decay_all and "weight_decay" in inspect.signature(classes[name]).parameters:
        groups = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
    skip_compiler_import()
    try:
        return classes[name](groups, **arguments)
    except (ValueError, TypeError, RuntimeError) as error:  # all from torch, for bad arguments
        raise UserError(f"optimizer: {name} refuses its arguments: {error}") from error
