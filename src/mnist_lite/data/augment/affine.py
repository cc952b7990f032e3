"""Affine augmentations: rotation, shift, scale and shear. Each gives one random 3x3 matrix per image.

A matrix maps output positions to input positions, as ``grid_sample`` needs it. Positions are in pixels from the centre of the
image. ``pipeline.py`` multiplies the matrices of neighbouring transforms, and ``resample`` moves the pixels once.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F

Value = float | torch.Tensor


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """``(n,)`` float32, uniform in [low, high), on the device of the generator."""
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low


def matrix(n: int, a: Value, b: Value, x: Value, c: Value, d: Value, y: Value, device: torch.device) -> torch.Tensor:
    """``(n, 3, 3)`` with the rows (a, b, x), (c, d, y), (0, 0, 1). Each value is a tensor ``(n,)``, or 0.0 or 1.0."""
    values: tuple[Value, ...] = (a, b, x, c, d, y, 0.0, 0.0, 1.0)
    columns = [value if isinstance(value, torch.Tensor) else _constant(value, n, device) for value in values]
    return torch.stack(columns, dim=1).view(n, 3, 3)


@cache  # a batch needs several, and each takes as long as the cosine of the batch. A CUDA graph reads them: never free one.
def _constant(value: float, n: int, device: torch.device) -> torch.Tensor:
    return torch.full((n,), value, dtype=torch.float32, device=device)


def rotate(n: int, generator: torch.Generator, degrees: float) -> torch.Tensor:
    """Rotation by an angle uniform in +-``degrees``, counter-clockwise as in torchvision. ``degrees`` is in [0, 180]."""
    if not 0 <= degrees <= 180:
        raise ValueError("degrees must be in [0, 180]")
    angle = uniform(n, -degrees, degrees, generator) * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return matrix(n, cos, -sin, 0.0, sin, cos, 0.0, generator.device)


def translate(n: int, generator: torch.Generator, pixels: float) -> torch.Tensor:
    """Shifts in x and in y, each uniform in +-``pixels``. ``pixels`` is in [0, 28]: a shift by 28 gives a black image."""
    if not 0 <= pixels <= 28:
        raise ValueError("pixels must be in [0, 28]")
    x, y = uniform(n, -pixels, pixels, generator), uniform(n, -pixels, pixels, generator)
    return matrix(n, 1.0, 0.0, -x, 0.0, 1.0, -y, generator.device)


def scale(n: int, generator: torch.Generator, low: float, high: float) -> torch.Tensor:
    """Scaling by a factor uniform in [``low``, ``high``]. Above 1 the digit grows. Both are in [0.1, 10]."""
    if not 0.1 <= low <= high <= 10:
        raise ValueError("0.1 <= low <= high <= 10 is needed")
    size = uniform(n, low, high, generator)
    return matrix(n, 1 / size, 0.0, 0.0, 0.0, 1 / size, 0.0, generator.device)


def shear(n: int, generator: torch.Generator, degrees: float) -> torch.Tensor:
    """Shear in x by an angle uniform in +-``degrees``: x moves by tan(angle) * y. ``degrees`` is in [0, 90)."""
    if not 0 <= degrees < 90:
        raise ValueError("degrees must be in [0, 90)")
    factor = (uniform(n, -degrees, degrees, generator) * (math.pi / 180)).tan()
    return matrix(n, 1.0, factor, 0.0, 0.0, 1.0, 0.0, generator.device)


def resample(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Moves the pixels of ``images`` ``(N, 1, H, W)`` by ``matrices`` ``(N, 3, 3)``. Bilinear; black outside of the image."""
    height, width = images.shape[-2:]
    theta = matrices[:, :2].clone()
    # grid_sample has positions in -1..1, so input and output positions are converted from pixels
    theta[:, 0, 1] *= height / width
    theta[:, 1, 0] *= width / height
    theta[:, 0, 2] /= width / 2
    theta[:, 1, 2] /= height / 2
    # One matrix product for all images: 0.03 ms for 128 images. F.affine_grid computes one per image, which takes 0.6 ms.
    grid = (
        (theta.view(-1, 3) @ _pixel_centres(height, width, images.device))
        .view(-1, 2, height, width)
        .permute(0, 2, 3, 1)
    )
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@cache
def _pixel_centres(height: int, width: int, device: torch.device) -> torch.Tensor:
    """``(3, H * W)``: x, y and 1 for the centre of each pixel. x and y go from -1 to 1 between the edges of the image."""
    x, y = ((2 * torch.arange(side, device=device) + 1) / side - 1 for side in (width, height))
    rows = [x.expand(height, width), y[:, None].expand(height, width), torch.ones(height, width, device=device)]
    return torch.stack(rows).view(3, -1)
