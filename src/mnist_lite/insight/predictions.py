"""What a trained network answers for images: its logits for the images of a split, by the fastest way that this machine has."""

from __future__ import annotations

import os

import torch

from mnist_lite.config.schema import DataConfig
from mnist_lite.data.dataset import Dataset, load
from mnist_lite.insight.saved_run import SavedRun

BATCH = 500
DATA_ROOT = "MNIST_LITE_DATA"
"""The environment variable that names the folder with MNIST. Without it, the folder is ``data``."""


def load_data(run: SavedRun, root: str = "") -> Dataset:
    """All images of the data set that ``run`` was trained on: ``mnist`` or ``digits``. No image is left out or held out.

    ``root`` is the folder that contains ``MNIST/raw``. Empty: that of ``MNIST_LITE_DATA``, or ``data``. The folder in the config
    of the run is not used, because it may belong to another machine or to a stranger.

    Raises:
        UserError: the data is not there.
    """
    return load(DataConfig(name=run.data["name"], root=root or os.environ.get(DATA_ROOT) or "data"))


def predict(run: SavedRun, images: torch.Tensor) -> torch.Tensor:
    """Logits ``(N, 10)`` float32 for ``images`` ``(N, 1, 28, 28)`` uint8."""
    classifier = run.classifier()
    with torch.inference_mode():
        return torch.cat([classifier(batch) for batch in images.split(BATCH)])
