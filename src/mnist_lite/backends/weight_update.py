"""The update of the weights after a backward pass, by torch: L1, clipping, the optimizer, and the average of the weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_lite.backends.finite_step import step_if


class WeightUpdate:
    """Updates the weights of a network, after a backward pass. Each call makes one update."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        l1: float = 0.0,
        clip_grad_norm: float | None = None,
        ema_decay: float | None = None,
    ) -> None:
        """``optimizer`` has the parameters of ``module``.

        ``l1`` is the weight of the sum of the absolute values of all parameters in the loss. ``clip_grad_norm`` is the largest
        norm of all gradients together; longer gradients are scaled down to it. With ``ema_decay``, ``average`` is an exponential
        moving average of the parameters and buffers.
        """
        self.module, self.optimizer = module, optimizer
        self.l1, self.clip_grad_norm, self.ema_decay = l1, clip_grad_norm, ema_decay
        self.average: AveragedModel | None = None
        if ema_decay is not None:
            self._lerp = get_ema_multi_avg_fn(ema_decay)
            self.average = AveragedModel(module, multi_avg_fn=self._lerp, use_buffers=True)

    def __call__(self, finite: torch.Tensor) -> None:
        """Updates the weights if ``finite``, a 0-dimensional bool tensor on their device, is true."""
        if self.l1:
            self._add_l1()
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_grad_norm)
        step_if(finite, self.optimizer)
        if self.average is not None:
            self._update_average(self.average)

    def _update_average(self, average: AveragedModel) -> None:
        """``average.update_parameters``, which copies its counter to the device: the host would wait for a GPU in each step."""
        if average.n_averaged == 0:
            average.update_parameters(self.module)
            return
        averaged = [*average.module.parameters(), *average.module.buffers()]
        current = [*self.module.parameters(), *self.module.buffers()]
        pairs = [(a.detach(), c.detach()) for a, c in zip(averaged, current, strict=True)]
        for floating in (True, False):  # the function wants tensors of one kind; batch norm has a counter
            chosen = [(a, c) for a, c in pairs if a.is_floating_point() == floating]
            if chosen:
                self._lerp([a for a, _ in chosen], [c for _, c in chosen], average.n_averaged)
        average.n_averaged += 1

    @torch.no_grad()
    def _add_l1(self) -> None:
        """Adds to every gradient the gradient of ``l1`` times the sum of the absolute values of all parameters."""
        for parameter in self.module.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(parameter.sign(), alpha=self.l1)
