"""A split of a data set as two tensors, and functions that select a part of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mnist_lite.errors import UserError

CLASSES = 10


@dataclass(frozen=True)
class Split:
    """Images ``(N, 1, 28, 28)`` uint8 and labels ``(N,)`` int64 in 0..9, on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: torch.Tensor) -> Split:
        """The images at ``indices``."""
        return Split(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> Split:
        """The same split on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))

    def mean_and_std(self) -> tuple[float, float]:
        """Mean and standard deviation of all pixels, scaled to 0..1. MNIST's training split: (0.1307, 0.3081)."""
        counts = torch.bincount(self.images.flatten().int(), minlength=256).double()
        values = torch.arange(256, dtype=torch.float64, device=counts.device) / 255
        mean = (counts * values).sum() / counts.sum()
        variance = (counts * (values - mean) ** 2).sum() / counts.sum()
        return float(mean), float(variance.sqrt())


def balanced_indices(split: Split, limit: int, key: str) -> torch.Tensor:
    """Sorted indices of ``limit`` images with the same number of images of each class.

    If ``limit`` cannot be divided by 10, the first classes have one image more. If ``limit`` is the size of the split, all images
    are taken. Otherwise the first images of each class are taken. So a subset does not depend on the seed, and a larger subset
    contains a smaller one. ``key`` is the key of ``limit`` in the config, for messages.

    Raises:
        UserError: the split has fewer images, or fewer images of a class.
    """
    if limit > len(split):
        raise UserError(f"{key}: {limit} is more than the {len(split)} images that there are")
    if limit == len(split):
        return torch.arange(limit)
    indices = []
    for digit in range(CLASSES):
        count = limit // CLASSES + (digit < limit % CLASSES)
        of_class = (split.labels == digit).nonzero().flatten()
        if count > len(of_class):
            largest = CLASSES * int(split.labels.bincount(minlength=CLASSES).min())
            raise UserError(
                f"{key}: {limit} balanced images need {count} images of the digit {digit}, and there are {len(of_class)}; "
                f"the limit is {largest}"
            )
        indices.append(of_class[:count])
    return torch.cat(indices).sort().values


def other_indices(count: int, indices: torch.Tensor) -> torch.Tensor:
    """The numbers 0 .. ``count`` - 1 that are not in ``indices``, sorted."""
    keep = torch.ones(count, dtype=torch.bool)
    keep[indices] = False
    return keep.nonzero().flatten()
