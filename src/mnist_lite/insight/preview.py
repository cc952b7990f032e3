"""What ``mnist-lite preview`` does: counts, mean and standard deviation, samples, and one image under augmentation."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mnist_lite import files, rng
from mnist_lite.config.schema import PreviewConfig
from mnist_lite.data.augment import pipeline
from mnist_lite.data.dataset import Dataset, load
from mnist_lite.data.split import CLASSES, Split
from mnist_lite.errors import RunError, UserError
from mnist_lite.reporting import preview_plots, text_layout
from mnist_lite.reporting.block_image import as_blocks
from mnist_lite.reporting.png import DrawingError, png_path

GRID = 10
"""Rows and columns of the grids in the picture."""
GAP = 2
"""Columns between two images in the terminal."""


@dataclass(frozen=True)
class PixelSums:
    """Sums over all pixels of a split, as whole numbers. Pixels are 0..255."""

    images: int
    pixels: int
    """The number of pixels."""
    total: int
    """The sum of all pixels."""
    squares: int
    """The sum of the squares of all pixels."""

    @classmethod
    def of(cls, split: Split) -> PixelSums:
        """The sums of ``split``."""
        counts = torch.bincount(split.images.flatten().int(), minlength=256)
        values = torch.arange(256)
        total, squares = int((counts * values).sum()), int((counts * values**2).sum())
        return cls(len(split), split.images.numel(), total, squares)

    @property
    def mean(self) -> float:
        """The mean of all pixels, scaled to 0..1."""
        return self.total / (255 * self.pixels)

    @property
    def mean_square(self) -> float:
        """The mean of the squares of all pixels, scaled to 0..1."""
        return self.squares / (255**2 * self.pixels)

    @property
    def std(self) -> float:
        """The standard deviation of all pixels, scaled to 0..1."""
        return math.sqrt(self.mean_square - self.mean**2)


def preview(config: PreviewConfig) -> int:
    """Prints the preview of ``config.data`` and ``config.augment``, and writes the picture. Returns the exit code.

    Raises:
        UserError: the data or the augmentation is not usable, or there is no training image ``config.image``.
        RunError: the picture cannot be drawn or written.
    """
    path = None if config.picture is None else png_path("picture", config.picture)
    augment = pipeline.build(config.augment)
    data = load(config.data)
    if config.image >= len(data.train):
        raise UserError(
            f"image: {config.image} is out of range; there are {len(data.train):,} training images, from 0 on"
        )
    width = text_layout.width_of(sys.stdout)
    if data.warning:
        print(text_layout.wrapped(data.warning, text_layout.width_of(sys.stderr)), file=sys.stderr)
    original = data.train.images[config.image : config.image + 1]
    copies = (original.float() / 255).repeat(GRID * GRID - 1, 1, 1, 1)
    changed = augment(copies, rng.generator(torch.device("cpu"), config.seed, "augment", 1))
    versions = torch.cat([original, (changed * 255).round().to(torch.uint8)])
    name = config.choices.get("augment", "")
    digit = int(data.train.labels[config.image])
    augmentation = f"training image {config.image}, a {digit}, as it is and with the augmentation {name}".rstrip()
    sums = PixelSums.of(data.train)
    print(as_text(data, sums, width))
    for title, images in (
        ("the first training image of each class", samples(data.train, 1)),
        (augmentation, versions[:GRID]),
    ):
        print("\n".join(["", text_layout.wrapped(title, width), *block_lines(images, width)]))
    if path is not None:
        files.write(path, picture(data, sums, versions, augmentation))
        print(f"\npicture: {path}")
    return 0


def counts(split: Split) -> list[int]:
    """The number of images of each class."""
    return [int(count) for count in split.labels.bincount(minlength=CLASSES)]


def samples(split: Split, per_class: int) -> torch.Tensor:
    """The first ``per_class`` images of each class, class by class: ``(N, 1, 28, 28)`` uint8. Black where there are fewer."""
    rows = []
    for digit in range(CLASSES):
        found = split.images[split.labels == digit][:per_class]
        rows.append(F.pad(found, (0, 0, 0, 0, 0, 0, 0, per_class - len(found))))
    return torch.cat(rows)


def as_text(data: Dataset, sums: PixelSums, width: int | None) -> str:
    """The counts, and how mean and standard deviation are obtained."""
    splits = {"training": data.train, "test": data.test}
    if data.holdout is not None:
        splits["held out"] = data.holdout
    heads = (data.name, *map(str, range(CLASSES)), "all")
    rows = [(name, *(f"{n:,}" for n in counts(split)), f"{len(split):,}") for name, split in splits.items()]
    mean, std = f"{sums.mean:.4f}", f"{sums.std:.4f}"
    lines = [
        *text_layout.table(heads, rows, left={0}, width=width),
        "",
        f"Pixels are 0..255, and are divided by 255. The {sums.images:,} training images have {sums.pixels:,} pixels:",
        f"  mean               = {sums.total:,} / (255 * {sums.pixels:,}) = {mean}",
        f"  mean of squares    = {sums.squares:,} / (255^2 * {sums.pixels:,}) = {sums.mean_square:.4f}",
        f"  standard deviation = square root of (mean of squares - mean^2) = {std}",
        f"The network gets (pixel / 255 - {mean}) / {std}. Test images are not used for these two numbers.",
    ]
    return "\n".join(text_layout.wrapped(line, width) for line in lines)


def block_lines(images: torch.Tensor, width: int | None) -> list[str]:
    """``images`` ``(N, 1, 28, 28)`` uint8 side by side, at half their size, with block characters."""
    small = F.avg_pool2d(images.float(), 2).round().int()[:, 0]
    side = small.shape[-1]
    per_line = min(GRID // 2, max(1, ((width or 80) + GAP) // (side + GAP)))
    lines = []
    for group in small.split(per_line):
        blocks = [as_blocks(image.tolist()) for image in group]
        lines += ["".join(part.ljust(side + GAP) for part in parts).rstrip() for parts in zip(*blocks, strict=True)]
    return lines


def picture(data: Dataset, sums: PixelSums, versions: torch.Tensor, augmentation: str) -> bytes:
    """The PNG file with all parts of the preview. ``versions`` ``(100, 1, 28, 28)`` uint8 are of one image.

    Raises:
        RunError: matplotlib fails.
    """
    try:
        return preview_plots.draw(
            counts={"training": counts(data.train), "test": counts(data.test)},
            pixels=torch.bincount(data.train.images.flatten().int(), minlength=256).tolist(),
            mean_and_std=(sums.mean, sums.std),
            samples=mosaic(samples(data.train, GRID)),
            versions=mosaic(versions),
            title=f"{data.name}: {len(data.train):,} training images, {len(data.test):,} test images",
            augmentation=augmentation,
        )
    except DrawingError as error:
        raise RunError(f"the picture was not drawn: {error}") from error


def mosaic(images: torch.Tensor) -> Sequence[Sequence[int]]:
    """100 images ``(100, 1, 28, 28)`` as one image of ``10 x 10``, row by row."""
    rows = images[:, 0].unflatten(0, (GRID, GRID))
    pixels: list[list[int]] = F.pad(rows, (1, 1, 1, 1), value=128).permute(0, 2, 1, 3).flatten(2).flatten(0, 1).tolist()
    return pixels
