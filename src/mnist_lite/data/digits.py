"""Handwritten digits that need no download: scikit-learn's copy of the test set "optical recognition" of UCI."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits as load_sklearn_digits
from sklearn.model_selection import train_test_split

from mnist_lite.data.split import Split

TEST_FRACTION = 0.2


def load_digits() -> tuple[Split, Split]:
    """1,437 training and 360 test images: 8x8 with 17 grey levels, resized to 28x28. The stratified split is always the same."""
    source = load_sklearn_digits()
    images = torch.from_numpy(source.images).float().unsqueeze(1) * (255 / 16)
    images = F.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False).round().to(torch.uint8)
    labels = torch.from_numpy(source.target).to(torch.int64)
    train, test = train_test_split(range(len(labels)), test_size=TEST_FRACTION, random_state=0, stratify=labels.numpy())
    return Split(images[train], labels[train]), Split(images[test], labels[test])
