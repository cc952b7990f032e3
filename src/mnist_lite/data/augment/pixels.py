"""Augmentations that are not affine. Each takes ``(N, 1, H, W)`` float pixels in 0..1 and returns the same shape and range."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from mnist_lite.data.augment.affine import uniform


def crop(images: torch.Tensor, generator: torch.Generator, padding: int) -> torch.Tensor:
    """Pads with ``padding`` black pixels, then crops to the old size at a position uniform over all whole-pixel positions."""
    n, _, height, width = images.shape
    if not 0 <= padding <= min(height, width):
        raise ValueError(f"padding must be in [0, {min(height, width)}]")
    device = images.device
    padded = F.pad(images, [padding] * 4)
    tops, lefts = torch.randint(0, 2 * padding + 1, (2, n), generator=generator, device=device)
    rows = (tops[:, None] + torch.arange(height, device=device))[:, None, :, None]
    columns = (lefts[:, None] + torch.arange(width, device=device))[:, None, None, :]
    image_numbers = torch.arange(n, device=device)[:, None, None, None]
    return padded[image_numbers, 0, rows, columns]


def erase(
    images: torch.Tensor,
    generator: torch.Generator,
    probability: float = 0.5,
    min_area: float = 0.02,
    max_area: float = 0.2,
    min_ratio: float = 0.3,
) -> torch.Tensor:
    """Random erasing (Zhong et al., 2017): with ``probability``, a black rectangle is drawn. It can reach over the image's edge.

    The area of the rectangle is uniform in [``min_area``, ``max_area``], as a fraction of the image. Its height / width is
    log-uniform in [``min_ratio``, 1 / ``min_ratio``]. Its centre is uniform over the image.
    """
    if not (0 <= probability <= 1 and 0 < min_area <= max_area <= 1 and 0 < min_ratio <= 1):
        raise ValueError("0 <= probability <= 1, 0 < min_area <= max_area <= 1 and 0 < min_ratio <= 1 are needed")
    n, _, height, width = images.shape
    area = uniform(n, min_area, max_area, generator) * height * width
    ratio = uniform(n, math.log(min_ratio), -math.log(min_ratio), generator).exp()
    hole_height, hole_width = (area * ratio).sqrt(), (area / ratio).sqrt()
    centre_y, centre_x = uniform(n, 0, height, generator), uniform(n, 0, width, generator)
    erased = uniform(n, 0, 1, generator) < probability
    y = torch.arange(height, device=images.device) + 0.5
    x = torch.arange(width, device=images.device) + 0.5
    inside_y = (y - centre_y[:, None]).abs() < hole_height[:, None] / 2
    inside_x = (x - centre_x[:, None]).abs() < hole_width[:, None] / 2
    hole = inside_y[:, :, None] & inside_x[:, None, :] & erased[:, None, None]
    return images.masked_fill(hole[:, None], 0.0)


def brightness(images: torch.Tensor, generator: torch.Generator, amount: float) -> torch.Tensor:
    """Multiplies by a factor uniform in [1 - ``amount``, 1 + ``amount``], then clips to 0..1."""
    factor = 1 + uniform(len(images), -_fraction(amount), amount, generator)
    return (images * factor[:, None, None, None]).clamp(0, 1)


def contrast(images: torch.Tensor, generator: torch.Generator, amount: float) -> torch.Tensor:
    """Multiplies the distance from the image's mean by a factor uniform in [1 - ``amount``, 1 + ``amount``]; clips to 0..1."""
    factor = 1 + uniform(len(images), -_fraction(amount), amount, generator)
    mean = images.mean((1, 2, 3), keepdim=True)
    return (mean + (images - mean) * factor[:, None, None, None]).clamp(0, 1)


def noise(images: torch.Tensor, generator: torch.Generator, std: float) -> torch.Tensor:
    """Adds normal noise and clips to 0..1. The standard deviation of each image's noise is uniform in [0, ``std``]."""
    if not 0 <= std <= 1:
        raise ValueError("std must be in [0, 1]")
    level = uniform(len(images), 0, std, generator)
    normal = torch.randn(images.shape, generator=generator, device=images.device)
    return (images + normal * level[:, None, None, None]).clamp(0, 1)


def elastic(images: torch.Tensor, generator: torch.Generator, alpha: float = 8.0, sigma: float = 4.0) -> torch.Tensor:
    """Elastic distortion (Simard et al., 2003): each pixel moves by a random displacement.

    The displacements are uniform in +-1, smoothed by a Gaussian with a standard deviation of ``sigma`` pixels, and multiplied by
    ``alpha`` pixels.
    """
    n, _, height, width = images.shape
    if not (0 <= alpha <= 1000 and 0 < sigma <= max(height, width)):
        raise ValueError(f"alpha in [0, 1000] and sigma in (0, {max(height, width)}] are needed")
    field = torch.rand((2 * n, 1, height, width), generator=generator, device=images.device) * 2 - 1
    radius = math.ceil(3 * sigma)
    x = torch.arange(-radius, radius + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    field = F.conv2d(field, kernel.view(1, 1, -1, 1), padding=(radius, 0))
    field = F.conv2d(field, kernel.view(1, 1, 1, -1), padding=(0, radius)).view(2, n, height, width) * alpha
    identity = torch.eye(2, 3, device=images.device).expand(n, 2, 3)
    grid = F.affine_grid(identity, list(images.shape), align_corners=False)
    shift = torch.stack([field[0] * (2 / width), field[1] * (2 / height)], dim=-1)
    return F.grid_sample(images, grid + shift, mode="bilinear", padding_mode="zeros", align_corners=False)


def _fraction(amount: float) -> float:
    if not 0 <= amount <= 1:
        raise ValueError("amount must be in [0, 1]")
    return amount
