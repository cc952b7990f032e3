"""A split of a data set as two tensors, and the ways to take a part of it."""

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
        """The same on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))

    def mean_and_std(self) -> tuple[float, float]:
        """Mean and standard deviation of all pixels, scaled to 0..1. MNIST's training split: (0.1307, 0.3081)."""
        counts = torch.bincount(self.images.flatten().int(), minlength=256).double()
        values = torch.arange(256, dtype=torch.float64, device=counts.device) / 255
        mean = (counts * values).sum() / counts.sum()
        variance = (counts * (values - mean) ** 2).sum() / counts.sum()
        return float(mean), float(variance.sqrt())


def balanced(split: Split, limit: int, key: str) -> torch.Tensor:
    """Indices of ``limit`` images, in order, the same number of each class (one more in the first few if it does not divide).

    All of them, if ``limit`` is how many there are. Else the first images of each class are taken, so that a subset does
    not depend on the seed, and a larger one holds a smaller one.

    Raises:
        UserError: more images are asked for than there are, or more of a class.
    """
    if limit > len(split):
        raise UserError(f"{key}: {limit} images are asked for and there are {len(split)}")
    if limit == len(split):
        return torch.arange(limit)
    chosen = []
    for digit in range(CLASSES):
        wanted = limit // CLASSES + (digit < limit % CLASSES)
        of_class = (split.labels == digit).nonzero().flatten()
        if wanted > len(of_class):
            most = CLASSES * min(int((split.labels == other).sum()) for other in range(CLASSES))
            raise UserError(
                f"{key}: a balanced {limit} needs {wanted} images of the digit {digit} and there are {len(of_class)}; "
                f"at most {most} can be balanced"
            )
        chosen.append(of_class[:wanted])
    return torch.cat(chosen).sort().values


def without(count: int, indices: torch.Tensor) -> torch.Tensor:
    """All of ``range(count)`` that is not in ``indices``, in order."""
    keep = torch.ones(count, dtype=torch.bool)
    keep[indices] = False
    return keep.nonzero().flatten()
