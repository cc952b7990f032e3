"""What a trained network answers for images: its logits for the images of a split."""

from __future__ import annotations

import contextlib
import math
import os

import torch

from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.kernels.build import BuildError
from mnist_lite.backends.kernels.operations import UnsupportedError
from mnist_lite.backends.select import MAX_PARAMETERS
from mnist_lite.config.schema import DataConfig
from mnist_lite.data.dataset import Dataset, load
from mnist_lite.data.raw_batch import RawBatch
from mnist_lite.errors import UnavailableError
from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.model.build import INPUT_SHAPE, Network

BATCH = 500
MIN_IMAGES = 10_000
"""The smallest number of images for which the C++ kernels pay off. Their library is built once per machine, which takes 7 s."""
MAX_VALUES = 50_000_000
"""The limit for the output of a layer for a batch: 200 MB in float32. It holds unless one image alone needs more."""
DATA_ROOT = "MNIST_LITE_DATA"
"""The environment variable that names the folder with MNIST. Without it, the folder is ``data``."""


def load_data(run: SavedRun, root: str = "") -> Dataset:
    """All images of the data set that ``run`` was trained on: ``mnist`` or ``digits``. No image is left out or held out.

    ``root`` is the folder that contains ``MNIST/raw``. Empty: that of ``MNIST_LITE_DATA``, or ``data``. The folder in the config
    of the run is not used, because it may belong to another machine or to a stranger.

    Raises:
        UserError: the data is not there.
    """
    folder = data_root(root)
    try:
        return load(DataConfig(name=run.data["name"], root=folder))
    except UnavailableError as error:  # its advice is for commands that have data.root
        reason = error.__cause__ or error
        raise UnavailableError(
            f"no usable MNIST in {folder} ({reason}); set {DATA_ROOT} to the folder that has MNIST/raw/*.gz"
        ) from error


def data_root(root: str = "") -> str:
    """``root``, or the folder of ``MNIST_LITE_DATA``, or ``data``: the folder that contains ``MNIST/raw``."""
    return root or os.environ.get(DATA_ROOT) or "data"


def predict(run: SavedRun, images: torch.Tensor) -> torch.Tensor:
    """Logits ``(N, 10)`` float32 for ``images`` ``(N, 1, 28, 28)`` uint8, by the C++ kernels where they can and pay off."""
    if len(images) >= MIN_IMAGES and run.network.parameters <= MAX_PARAMETERS:
        module, mean, std = run.network.module, run.data["mean"], run.data["std"]
        with contextlib.suppress(UnsupportedError, BuildError, MemoryError):  # torch computes the same
            backend = KernelBackend(module, INPUT_SHAPE, 0.0, torch.get_num_threads())
            parts = torch.arange(len(images)).split(batch_size(run.network))
            images = images.contiguous()
            return torch.cat([backend.logits(module, RawBatch(images, part, None, mean, std)) for part in parts])
    return predict_with_torch(run, images)


def predict_with_torch(run: SavedRun, images: torch.Tensor) -> torch.Tensor:
    """The same by torch's modules, so that their hooks are called."""
    classifier = run.classifier()
    with torch.inference_mode():
        return torch.cat([classifier(batch) for batch in images.split(batch_size(run.network))])


def batch_size(network: Network) -> int:
    """The number of images that go through ``network`` at a time: ``BATCH``, or fewer if a layer has a large output."""
    largest = max(math.prod(layer.output) for layer in network.layers)
    return max(1, min(BATCH, MAX_VALUES // largest))
