"""Builds the augmentation of a batch from a YAML list of transforms. Each image gets its own random numbers.

The transforms are in ``affine.py`` and ``pixels.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from mnist_lite.config.entry import parse_entry
from mnist_lite.data.augment import affine, pixels
from mnist_lite.errors import UserError

AFFINE: dict[str, Callable[..., torch.Tensor]] = {
    word.__name__: word for word in (affine.rotate, affine.translate, affine.scale, affine.shear)
}
PIXELS: dict[str, Callable[..., torch.Tensor]] = {
    word.__name__: word
    for word in (pixels.crop, pixels.erase, pixels.brightness, pixels.contrast, pixels.noise, pixels.elastic)
}
TRANSFORMS = {**AFFINE, **PIXELS}
SUPPLIED = ("n", "images", "generator")
"""Parameters of a transform that do not come from YAML."""

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""``augment(images, generator)``: ``(N, 1, 28, 28)`` float pixels in 0..1 to the same shape and range."""


def build(augment: dict[str, Any]) -> Augment:
    """The transforms of ``augment["transforms"]``, in order.

    Neighbouring affine transforms are multiplied into one matrix per image, and the image is resampled once. This is faster, and
    the image is blurred only once.

    Raises:
        UserError: an unknown transform or a wrong argument.
    """
    steps: list[Augment] = []
    matrices: list[Callable[[int, torch.Generator], torch.Tensor]] = []
    for index, item in enumerate(augment["transforms"], 1):
        where = f"augment.transforms: entry {index}"
        entry = parse_entry(item, TRANSFORMS, where, SUPPLIED)
        step = partial(TRANSFORMS[entry.word], **entry.arguments)
        _check(step, entry.word in AFFINE, f"{where} ({entry})")
        if entry.word not in AFFINE:
            matrices = []
            steps.append(step)
        elif matrices:
            matrices.append(step)
        else:
            matrices = [step]
            steps.append(partial(_resample, matrices))
    return partial(_apply, steps)


def _apply(steps: list[Augment], images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    for step in steps:
        images = step(images, generator)
    return images


def _resample(
    transforms: list[Callable[[int, torch.Generator], torch.Tensor]], images: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    matrices = transforms[0](len(images), generator)
    # a matrix maps output to input, so the matrix of the first transform is applied last
    for transform in transforms[1:]:
        matrices = matrices @ transform(len(images), generator)
    return affine.resample(images, matrices)


def _check(step: Callable[..., torch.Tensor], is_affine: bool, where: str) -> None:
    """Runs a transform on two black images, so that an argument out of range is an error before the run starts."""
    try:
        step(2 if is_affine else torch.zeros(2, 1, 28, 28), torch.Generator())
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{where}: {str(error).splitlines()[0]}") from error
