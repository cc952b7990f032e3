"""A batch as pixels: images that are not augmented and not normalised yet. The C++ kernels do both, in parallel."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RawBatch:
    """Images of a split, by their numbers. All tensors are contiguous and on the CPU."""

    images: torch.Tensor
    """All images of the split: ``(M, 1, 28, 28)`` uint8."""
    indices: torch.Tensor
    """The numbers of the images of the batch: ``(N,)`` int64 in 0..M-1."""
    matrices: torch.Tensor | None
    """The affine augmentation of each image: ``(N, 3, 3)`` float32, see ``augment/affine.py``. None: no augmentation."""
    mean: float
    """For the normalisation, with pixels scaled to 0..1."""
    std: float

    def __len__(self) -> int:
        return len(self.indices)


Inputs = torch.Tensor | RawBatch
"""The images of a batch for a backend. A tensor ``(N, 1, 28, 28)`` float32 is augmented and normalised."""
