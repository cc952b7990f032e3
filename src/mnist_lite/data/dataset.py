"""Loads the data set that the config asks for, as tensors: MNIST or the small digits, with holdout and limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import DataConfig, check_values
from mnist_lite.data import digits
from mnist_lite.data.augment.pipeline import Augment
from mnist_lite.data.raw_batch import RawBatch
from mnist_lite.data.split import Split, balanced_indices, other_indices
from mnist_lite.errors import UserError

__all__ = ["Dataset", "Split", "load", "possible_counts"]

TRAIN_IMAGES = {"mnist": 60_000, "digits": digits.TRAIN_IMAGES}


@dataclass(frozen=True)
class Dataset:
    """The images of a run."""

    name: str
    """The data set that was loaded: ``mnist`` or ``digits``. ``data=auto`` can give either."""
    train: Split
    test: Split
    holdout: Split | None
    mean: float
    """Over all training images, with pixels scaled to 0..1."""
    std: float
    warning: str | None = None
    """A warning for the user, such as that the data is not MNIST."""

    @property
    def selection_split(self) -> str:
        """The split that selects the best checkpoint and the early stop: ``holdout`` if there is one, else ``test``."""
        return "test" if self.holdout is None else "holdout"

    def inputs(
        self,
        images: torch.Tensor,
        device: torch.device,
        augment: Augment | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """The network's input for ``images``: ``(N, 1, 28, 28)`` uint8 in, the same shape in float32 on ``device`` out.

        Pixels are scaled to 0..1, changed by ``augment`` with random numbers from ``generator``, and normalised: mean 0 and
        standard deviation 1 over the training images. Every image takes this path, in training and in evaluation.
        """
        pixels = images.to(device, non_blocking=True).float().div_(255)
        if augment is not None:
            assert generator is not None  # augment draws from it
            pixels = augment(pixels, generator)
        return (pixels - self.mean) / self.std

    def raw_batch(
        self, split: Split, indices: torch.Tensor, augment: Augment | None, generator: torch.Generator | None
    ) -> RawBatch:
        """The images ``indices`` ``(N,)`` of ``split``, before augmentation and normalisation. ``augment`` has only moves."""
        matrices = None if augment is None or generator is None else augment.matrices(len(indices), generator)
        return RawBatch(split.images, indices, matrices, self.mean, self.std)

    def to(self, device: torch.device) -> Dataset:
        """The same data on ``device``. If the data needs more than half of a GPU's free memory, it stays where it is."""
        if not _fits(self, device):
            return self
        holdout = None if self.holdout is None else self.holdout.to(device)
        return replace(self, train=self.train.to(device), test=self.test.to(device), holdout=holdout)


def possible_counts(config: DataConfig) -> list[int]:
    """How many training images ``load`` may return. No file is read.

    ``data=auto`` can load two data sets, so it has two numbers, MNIST's first.
    """
    if config.train_limit is not None:
        return [config.train_limit]
    sizes = [TRAIN_IMAGES[config.name]] if config.name in TRAIN_IMAGES else list(TRAIN_IMAGES.values())
    return [max(1, size - config.holdout) for size in sizes]


def load(config: DataConfig, download: bool = True) -> Dataset:
    """The data set of ``config``, on the CPU. With ``download=False`` nothing is written below ``config.root``.

    Raises:
        UserError: a value of ``config`` is missing or not allowed, MNIST is not available, or there are fewer images than
            ``config`` asks for.
    """
    check_values(config, "data.")
    name, (train, test), warning = _read(str(config.name), str(user_path("data.root", config.root)), download)
    holdout = None
    if config.holdout:
        if config.holdout >= len(train):
            raise UserError(f"data.holdout: {config.holdout} of {len(train)} training images leave none for training")
        held = balanced_indices(train, config.holdout, "data.holdout")
        holdout, train = train.take(held), train.take(other_indices(len(train), held))
    if config.train_limit is not None:
        train = train.take(balanced_indices(train, config.train_limit, "data.train_limit"))
    if config.test_limit is not None:
        test = test.take(balanced_indices(test, config.test_limit, "data.test_limit"))
    mean, std = train.mean_and_std()
    return Dataset(name, train, test, holdout, mean, std, warning)


def resolve_auto(root: str) -> tuple[str, str | None]:
    """The data set that ``data=auto`` loads: ``mnist``, or ``digits`` and a warning for the user."""
    name, _, warning = _read("auto", str(user_path("data.root", root)), True)
    return name, warning


@lru_cache(maxsize=1)
def _read(name: str, root: str, download: bool) -> tuple[str, tuple[Split, Split], str | None]:
    """The data set, its splits, and a warning. Cached: a process reads and verifies the files once for all of its runs."""
    warning = None
    if name != "digits":
        from mnist_lite.data.mnist import load_mnist  # imported here because it is slow

        try:
            return "mnist", load_mnist(Path(root), download), None
        except UserError as error:
            if name == "mnist":
                raise
            warning = (
                "THIS IS NOT MNIST. MNIST was not found, so data=auto uses scikit-learn's 1,797 small digits instead. "
                "Results on the digits say nothing about MNIST. With so few images use small batches: batch_size=32. "
                f"Reason: {error}"
            )
    return "digits", digits.load_digits(), warning


def _fits(data: Dataset, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    size = sum(split.images.nbytes + split.labels.nbytes for split in (data.train, data.test, data.holdout) if split)
    free, _ = torch.cuda.mem_get_info(device)
    return size < free / 2
