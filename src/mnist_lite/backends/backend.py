"""The interface of a backend: what the trainer needs to train and to evaluate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from mnist_lite.backends.weight_update import WeightUpdate
from mnist_lite.data.raw_batch import Inputs


@dataclass(frozen=True)
class StepResult:
    """The results of one training step: 0-dimensional tensors on the device, of any type."""

    loss: torch.Tensor
    """Mean over the batch."""
    correct: torch.Tensor
    """Number of images whose largest logit is that of their label."""
    finite: torch.Tensor
    """True if the loss and every gradient are finite."""


class Backend(Protocol):
    """What the trainer needs from a backend."""

    @property
    def name(self) -> str:
        """``torch`` or ``kernels``."""

    @property
    def version(self) -> str:
        """A hash of the kernels' sources, compiler and processor, which can change the last bits. Empty for torch."""

    @property
    def takes_raw_batches(self) -> bool:
        """Whether ``inputs`` can be a ``RawBatch``."""

    def gradients(self, inputs: Inputs, labels: torch.Tensor, seed: int) -> StepResult:
        """Sets the gradient of every parameter. ``inputs`` are ``N`` images, ``labels`` is ``(N,)`` int64.

        The random numbers of dropout depend on ``seed`` only.
        """

    def prepare_update(self, update: WeightUpdate) -> Callable[[torch.Tensor], None]:
        """The fastest function that does what ``update`` does. Its argument is ``StepResult.finite``.

        The function reads addresses of tensors. Prepare the update again after a ``load_state_dict``.
        """

    def evaluate(self, network: nn.Module, inputs: Inputs, labels: torch.Tensor) -> torch.Tensor:
        """Sum of cross-entropies and number of right answers of ``network`` in evaluation mode: ``(2,)`` float64.

        On MPS, which has no float64, the result is float32.
        """
