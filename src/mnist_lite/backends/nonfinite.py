"""Keeps numbers gone wrong out of the weights, without making the device wait for the host."""

from __future__ import annotations

import torch
from torch import nn


def all_finite(loss: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """Whether ``loss`` and every gradient of ``module`` are finite: a 0-dimensional bool tensor on their device."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    largest = nn.utils.get_total_norm(gradients, norm_type=float("inf"))  # NaN and infinity both show in a maximum
    return torch.isfinite(loss.detach()) & torch.isfinite(largest)


def step_if(finite: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()`` if ``finite`` is true; else the parameters stay as they are.

    On the CPU the answer is at hand. Elsewhere asking for it would stop the host until the device is done, so the step is
    taken and, on the device, taken back: parameters only, since nothing goes on from the optimiser's state then.
    """
    if finite.device.type == "cpu":
        if finite:
            optimizer.step()
        return
    take_back(finite, optimizer)


@torch.no_grad()
def take_back(finite: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()``, undone on the device where ``finite`` is false. Never asks for the value of ``finite``."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    before = [p.clone() for p in parameters]
    optimizer.step()
    for parameter, old in zip(parameters, before, strict=True):
        parameter.copy_(torch.where(finite, parameter, old))
