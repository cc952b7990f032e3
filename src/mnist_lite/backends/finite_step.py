"""Checks whether a step is finite, and changes the weights only if it is. The host does not wait for the device.

The trainer ends the run (``DivergedError``). The kernels make this check in ``network.h``.
"""

from __future__ import annotations

import torch
from torch import nn

from mnist_lite.backends import without_compiler


def all_finite(loss: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """True if ``loss`` and every gradient of ``module`` are finite: a 0-dimensional bool tensor on their device."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    largest = nn.utils.get_total_norm(gradients, norm_type=float("inf"))  # if one value is NaN, the maximum is NaN
    return torch.isfinite(loss.detach()) & torch.isfinite(largest)


def step_if(finite: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()`` if ``finite`` is true. Otherwise the parameters do not change.

    On the CPU the value of ``finite`` is known. On another device, reading it would make the host wait.
    """
    if finite.device.type != "cpu":
        step_on_device(finite, optimizer)
    elif finite:
        without_compiler.step(optimizer)


def step_on_device(finite: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """``step_if``, decided on the device. The host never reads ``finite``."""
    if optimizer.defaults.get("fused") and finite.device.type != "mps":
        # torch's GradScaler skips steps with this attribute. The fused kernels read it on the device.
        optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        without_compiler.step(optimizer)
    else:
        _step_and_undo(finite, optimizer)


@torch.no_grad()
def _step_and_undo(finite: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()``, undone where ``finite`` is false. Only the parameters are restored: a run ends after such a step."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    before = [p.clone() for p in parameters]
    without_compiler.step(optimizer)
    for parameter, old in zip(parameters, before, strict=True):
        parameter.copy_(torch.where(finite, parameter, old))
