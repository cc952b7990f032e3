"""Handwritten digits that need no download: the 1,797 test images of UCI's data set that scikit-learn has, too.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998. Licence:
CC BY 4.0. ``digits.npz`` has the images in the order of our split. It is a file of this package because the import of
scikit-learn takes a second.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch
import torch.nn.functional as F

from mnist_lite.data.split import Split

TRAIN_IMAGES = 1_437
"""80 %, chosen at random within each class. The other 360 images are the test images."""


def load_digits() -> tuple[Split, Split]:
    """The training and the test images: 8x8 with 17 grey levels, resized to 28x28."""
    with (files("mnist_lite.data") / "digits.npz").open("rb") as file, np.load(file) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"]).long()
    images = images.float().unsqueeze(1) * (255 / 16)
    images = F.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False).round().to(torch.uint8)
    train, test = slice(TRAIN_IMAGES), slice(TRAIN_IMAGES, None)
    return Split(images[train], labels[train]), Split(images[test], labels[test])
