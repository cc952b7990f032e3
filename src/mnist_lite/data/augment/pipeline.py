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

Matrices = Callable[[int, torch.Generator], torch.Tensor]
"""``matrices(n, generator)``: one affine matrix per image, ``(n, 3, 3)``."""


class Augment:
    """Random changes of a batch of images."""

    def __init__(self, steps: list[Callable[..., torch.Tensor] | Affine]) -> None:
        """``steps`` are applied in order. A step that is not ``Affine`` is ``step(images, generator)``."""
        self._steps = steps

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """``(N, 1, 28, 28)`` float pixels in 0..1 to the same shape and range."""
        for step in self._steps:
            images = step(images, generator)
        return images

    @property
    def only_moves(self) -> bool:
        """Whether ``matrices`` say all that is done to an image."""
        return not self._steps or (len(self._steps) == 1 and isinstance(self._steps[0], Affine))

    def matrices(self, n: int, generator: torch.Generator) -> torch.Tensor | None:
        """The affine matrices ``(n, 3, 3)`` of ``n`` images, if there are only moves. None: the images do not change."""
        assert self.only_moves
        return self._steps[0].matrices(n, generator) if self._steps else None  # type: ignore[union-attr]


class Affine:
    """Neighbouring affine transforms. They are multiplied into one matrix per image, and the image is resampled once.

    This is faster, and the image is blurred only once.
    """

    def __init__(self, first: Matrices) -> None:
        self.transforms = [first]

    def matrices(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """``(n, 3, 3)``, from output to input positions."""
        matrices = self.transforms[0](n, generator)
        # a matrix maps output to input, so the matrix of the first transform is applied last
        for transform in self.transforms[1:]:
            matrices = matrices @ transform(n, generator)
        return matrices

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Moves the pixels of ``images`` ``(N, 1, 28, 28)``."""
        return affine.resample(images, self.matrices(len(images), generator))


def build(augment: dict[str, Any]) -> Augment:
    """The transforms of ``augment["transforms"]``, in order.

    Raises:
        UserError: an unknown transform or a wrong argument.
    """
    steps: list[Callable[..., torch.Tensor] | Affine] = []
    for index, item in enumerate(augment["transforms"], 1):
        where = f"augment.transforms: entry {index}"
        entry = parse_entry(item, TRANSFORMS, where, SUPPLIED)
        step = partial(TRANSFORMS[entry.word], **entry.arguments)
        _check(step, entry.word in AFFINE, f"{where} ({entry})")
        last = steps[-1] if steps else None
        if entry.word not in AFFINE:
            steps.append(step)
        elif isinstance(last, Affine):
            last.transforms.append(step)
        else:
            steps.append(Affine(step))
    return Augment(steps)


def _check(step: Callable[..., torch.Tensor], is_affine: bool, where: str) -> None:
    """Runs a transform on two black images, so that an argument out of range is an error before the run starts."""
    try:
        step(2 if is_affine else torch.zeros(2, 1, 28, 28), torch.Generator())
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{where}: {str(error).splitlines()[0]}") from error
