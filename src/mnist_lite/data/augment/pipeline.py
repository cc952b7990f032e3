"""Augmentation of a batch on its device, with a random draw per image, from a YAML list of transforms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from mnist_lite.config.entry import parse_entry
from mnist_lite.data.augment import affine, pixels
from mnist_lite.errors import UserError

GEOMETRIC: dict[str, Callable[..., torch.Tensor]] = {
    word.__name__: word for word in (affine.rotate, affine.translate, affine.scale, affine.shear)
}
PIXELS: dict[str, Callable[..., torch.Tensor]] = {
    word.__name__: word
    for word in (pixels.crop, pixels.erase, pixels.brightness, pixels.contrast, pixels.noise, pixels.elastic)
}
WORDS = {**GEOMETRIC, **PIXELS}
SUPPLIED = ("n", "images", "generator")
"""Parameters of a transform that the program fills in, not YAML."""

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""``augment(images, generator)``: ``(N, 1, 28, 28)`` float pixels in 0..1 to the same, drawing from ``generator``."""


def build(augment: dict[str, Any]) -> Augment:
    """The transforms of ``augment["transforms"]``, in order.

    Neighbouring rotations, shifts, scalings and shears are multiplied into one map per image and resampled once: it is
    faster, and the image is blurred once instead of each time.

    Raises:
        UserError: an unknown transform or an argument that it does not take.
    """
    steps: list[Augment] = []
    affine: list[Callable[[int, torch.Generator], torch.Tensor]] = []
    for index, item in enumerate(augment["transforms"], 1):
        where = f"augment.transforms: entry {index}"
        entry = parse_entry(item, WORDS, where, SUPPLIED)
        step = partial(WORDS[entry.word], **entry.arguments)
        _try(step, entry.word in GEOMETRIC, f"{where} ({entry})")
        if entry.word not in GEOMETRIC:
            affine = []
            steps.append(step)
        elif affine:
            affine.append(step)
        else:
            affine = [step]
            steps.append(partial(_resample, affine))
    return partial(_apply, steps)


def _apply(steps: list[Augment], images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    for step in steps:
        images = step(images, generator)
    return images


def _resample(
    draws: list[Callable[[int, torch.Generator], torch.Tensor]], images: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    maps = draws[0](len(images), generator)
    for draw in draws[1:]:  # a map goes from output to input, so the first transform stands last in the product
        maps = maps @ draw(len(images), generator)
    return affine.resample(images, maps)


def _try(step: Callable[..., torch.Tensor], is_geometric: bool, where: str) -> None:
    """Runs a transform on a small black batch, so that numbers out of range are found before any data is touched."""
    try:
        step(2 if is_geometric else torch.zeros(2, 1, 28, 28), torch.Generator())
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{where}: {str(error).splitlines()[0]}") from error
