"""Turns a picture of a digit into an image like those of MNIST.

MNIST's images were made like this: a black and white digit was scaled to fit into 20 x 20 pixels, with its aspect ratio kept and
with anti-aliasing, and was placed in 28 x 28 pixels with its centre of mass in the middle. Ink is 255, paper is 0.
Source: LeCun, Cortes, Burges, The MNIST database, http://yann.lecun.com/exdb/mnist/.

A photo has uneven light, noise and colours. Therefore the paper is estimated first, and the ink is what differs from it.

``reporting/html/digit.mjs`` does the same for drawings on the page of ``mnist-lite report``, with the same results. So
histograms, resampling and rounding are written out here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnist_lite.errors import UserError

Array = NDArray[np.float64]
SIDE, BOX = 28, 20
CENTRE = 14
"""The index of the row and of the column of the centre of mass, rounded. It holds for all 70,000 images."""
SAME_COLOUR = 6 / 255
"""The compression of a drawing changes its colours by about this."""
LEAST_CONTRAST = 12 / 255


def as_mnist(picture: Array) -> NDArray[np.uint8]:
    """The digit in ``picture`` as MNIST has it.

    Args:
        picture: ``(height, width, 3)`` with values 0..1. Dark on light or light on dark, in any colours.

    Returns:
        ``(28, 28)``. Ink is 255, paper is 0.

    Raises:
        UserError: there is nothing on the paper.
    """
    if min(picture.shape[:2]) < 2:
        raise UserError("the picture is too small")
    contrast, noise = _contrast(picture)
    if contrast.max() <= max(noise, LEAST_CONTRAST):
        raise UserError("no digit is found: nothing stands out from the paper")
    return _centred(_in_box(_ink(contrast, noise)))


def _contrast(picture: Array) -> tuple[Array, float]:
    """How much each pixel differs from the paper, 0 or more; and the difference that noise alone can make."""
    ring = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])
    paper = np.median(ring, 0)
    same = np.abs(ring - paper).max(1) <= SAME_COLOUR
    is_drawing = same.mean() > 0.6
    difference = picture - (paper if is_drawing else _uneven_paper(picture))
    # the direction in the space of colours in which ink differs from paper: grey for a black pen
    values = difference.reshape(-1, 3)
    axis = np.linalg.eigh(values.T @ values)[1][:, -1]
    is_grey = bool((picture == picture[..., :1]).all())
    signed = difference[..., 0] if is_grey and is_drawing else difference @ (axis * np.sqrt(3) / 3)
    if (signed**3).sum() < 0:  # ink is rare and far from the paper
        signed = -signed
    deviations = 4 * 1.4826 * np.median(np.abs(signed))  # four standard deviations, by the median
    noise = np.abs((ring - paper)[same] @ axis).max() / np.sqrt(3) if is_drawing else deviations
    return np.maximum(signed, 0), float(noise)


def _uneven_paper(picture: Array) -> Array:
    """The colour of the paper at each pixel of a photo: a quadratic function of the place.

    It is fitted by least absolute deviations (iterated weighted least squares), which the few pixels with ink hardly change.
    """
    height, width = picture.shape[:2]
    rows, columns = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], -1).reshape(-1, 6)
    values = picture.reshape(-1, 3)
    step = max(1, len(values) // 20_000)
    some, targets = terms[::step], values[::step]
    weights = np.ones(len(targets))
    for _ in range(30):
        weighted = some * weights[:, None]
        fit = np.linalg.lstsq(weighted.T @ some, weighted.T @ targets, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(targets - some @ fit).sum(1), 1e-3)
    paper: Array = (terms @ fit).reshape(picture.shape)
    return paper


def _ink(contrast: Array, noise: float) -> Array:
    """The amount of ink, 0..1, without specks and without things at the edge of the picture."""
    threshold = max(_otsu(contrast), noise)
    core = contrast > threshold
    parts, count = ndimage.label(contrast > max(noise, threshold / 4 if noise else 0), np.ones((3, 3)))
    areas = np.bincount(parts[core], minlength=count + 1)
    areas[0] = 0
    edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    inside = np.setdiff1d(np.arange(count + 1), edge)
    # the edge of the paper or a shadow touches the edge of the picture; a digit may, too, if there is nothing else
    if areas[inside].max(initial=0) > 0.1 * areas.max():
        areas[edge] = 0
    keep = np.isin(parts, np.flatnonzero(areas > 0.05 * areas.max()))
    full = np.percentile(contrast[core & keep], 50) if noise else contrast[keep].max()
    return np.where(keep, np.clip(contrast / full, 0, 1), 0)


def _otsu(values: Array) -> float:
    """Otsu's threshold: it splits ``values``, which are 0 or more, into two classes with the largest variance between them.

    Source: N. Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    largest = values.max()
    counts = np.bincount(np.minimum(256 * (values / largest), 255).astype(int).ravel(), minlength=256)
    centres = (np.arange(256) + 0.5) / 256 * largest
    below, total = np.cumsum(counts), counts.sum()
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / total - sums) ** 2 / (below * (total - below))
    return float(centres[np.nanargmax(between[:-1])])


def _in_box(ink: Array) -> Array:
    """The digit alone, scaled so that its longer side is 20 pixels."""
    digit = _cropped(ink, 0)
    if max(digit.shape) > BOX:
        digit = _cropped(ink, 0.5)  # without the soft edge of a large digit: MNIST's digits were black and white
    height, width = (max(1, _rounded(side * BOX / max(digit.shape))) for side in digit.shape)
    scaled = _resampling(digit.shape[0], height) @ digit @ _resampling(digit.shape[1], width).T
    ink_of_digit: Array = (scaled / scaled.max()).clip(0, 1)
    return ink_of_digit


def _resampling(size: int, new: int) -> Array:
    """``(new, size)``: the weights of the old pixels in each new pixel. Their sum is 1.

    To fewer pixels, a weight is the part of the new pixel that the old one covers. To more pixels, it is linear interpolation.
    """
    width = size / new
    centres, old = (np.arange(new)[:, None] + 0.5) * width, np.arange(size)[None]
    if new < size:
        overlap = np.minimum(old + 1, centres + width / 2) - np.maximum(old, centres - width / 2)
        weights: Array = overlap / width
    else:
        weights = 1 - np.abs((centres - 0.5).clip(0, size - 1) - old)
    return np.maximum(weights, 0)


def _rounded(value: float) -> int:
    """The nearest integer. A half is rounded up, in spite of small errors."""
    return math.floor(value + 0.5 + 1e-6)


def _cropped(ink: Array, least: float) -> Array:
    rows, columns = (np.flatnonzero((ink > least).any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(digit: Array) -> NDArray[np.uint8]:
    """The digit in 28 x 28 pixels, with its centre of mass in the middle."""
    top, left = (CENTRE - _rounded(float(c)) for c in ndimage.center_of_mass(digit))
    canvas = np.zeros((3 * SIDE, 3 * SIDE))
    canvas[SIDE + top : SIDE + top + digit.shape[0], SIDE + left : SIDE + left + digit.shape[1]] = digit
    return np.floor(255 * canvas[SIDE : 2 * SIDE, SIDE : 2 * SIDE] + 0.5).astype(np.uint8)
