"""Augmentations that move pixels by an affine map. A draw gives one 2x3 matrix per image; a run of them is one resampling.

A matrix takes output places to input places, in pixels about the image's centre, as ``grid_sample`` needs it.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """``(n,)`` float32 in [low, high), one draw per image, on the generator's device."""
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low


def matrix(
    n: int, a: object, b: object, x: object, c: object, d: object, y: object, device: torch.device
) -> torch.Tensor:
    """``(n, 3, 3)`` from rows (a, b, x), (c, d, y), (0, 0, 1); each a number or a tensor of ``(n,)``."""
    cells = [torch.as_tensor(value, dtype=torch.float32, device=device).expand(n) for value in (a, b, x, c, d, y)]
    zero, one = torch.zeros(n, device=device), torch.ones(n, device=device)
    return torch.stack([*cells, zero, zero, one], dim=1).view(n, 3, 3)


def rotate(n: int, generator: torch.Generator, degrees: float) -> torch.Tensor:
    """Angle uniform in +-``degrees``, counter-clockwise as in torchvision. ``degrees`` is in [0, 180]."""
    if not 0 <= degrees <= 180:
        raise ValueError("degrees must be in [0, 180]")
    angle = uniform(n, -degrees, degrees, generator) * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return matrix(n, cos, -sin, 0.0, sin, cos, 0.0, generator.device)


def translate(n: int, generator: torch.Generator, pixels: float) -> torch.Tensor:
    """Shift uniform in +-``pixels``, in x and y each. ``pixels`` is in [0, 28]: a shift by 28 leaves a black image."""
    if not 0 <= pixels <= 28:
        raise ValueError("pixels must be in [0, 28]")
    x, y = uniform(n, -pixels, pixels, generator), uniform(n, -pixels, pixels, generator)
    return matrix(n, 1.0, 0.0, -x, 0.0, 1.0, -y, generator.device)


def scale(n: int, generator: torch.Generator, low: float, high: float) -> torch.Tensor:
    """Size uniform in [``low``, ``high``]; above 1 the digit grows. Both are in [0.1, 10]."""
    if not 0.1 <= low <= high <= 10:
        raise ValueError("0.1 <= low <= high <= 10 is needed")
    size = uniform(n, low, high, generator)
    return matrix(n, 1 / size, 0.0, 0.0, 0.0, 1 / size, 0.0, generator.device)


def shear(n: int, generator: torch.Generator, degrees: float) -> torch.Tensor:
    """Shear in x by an angle uniform in +-``degrees``: x moves by tan(angle) * y."""
    if not 0 <= degrees < 90:
        raise ValueError("degrees must be in [0, 90)")
    slope = (uniform(n, -degrees, degrees, generator) * (math.pi / 180)).tan()
    return matrix(n, 1.0, slope, 0.0, 0.0, 1.0, 0.0, generator.device)


def resample(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """``images`` ``(N, 1, H, W)`` in 0..1 through ``maps`` ``(N, 3, 3)``, bilinear, black outside."""
    height, width = images.shape[-2:]
    half = torch.tensor([width / 2, height / 2], device=images.device)
    theta = maps[:, :2].clone()
    # from pixels about the centre to grid_sample's -1..1, on both sides of the map
    theta[:, 0, 1] *= height / width
    theta[:, 1, 0] *= width / height
    theta[:, :, 2] /= half
    # one matrix product; F.affine_grid makes it one per image, which took 0.6 ms for 128 images against 0.03
    grid = (theta.view(-1, 3) @ _places(height, width, images.device)).view(-1, 2, height, width).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@cache
def _places(height: int, width: int, device: torch.device) -> torch.Tensor:
    """``(3, H * W)``: x, y and 1 of every pixel's centre, in -1..1 from edge to edge."""
    x, y = ((2 * torch.arange(side, device=device) + 1) / side - 1 for side in (width, height))
    rows = [x.expand(height, width), y[:, None].expand(height, width), torch.ones(height, width, device=device)]
    return torch.stack(rows).view(3, -1)
