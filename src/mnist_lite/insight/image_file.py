"""Reads a picture that a user gives: a file in any format of Pillow, or standard input."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist_lite.errors import UserError
from mnist_lite.files import MB

STANDARD_INPUT = "-"
MAX_BYTES = 64 * MB
MAX_PIXELS = 100_000_000
"""A small file can hold a picture that fills the memory. Most phones make pictures of 12 to 50 million pixels."""
MAX_SIDE = 512
"""Larger pictures are made smaller. A digit needs 20 pixels."""


def read_picture(name: str) -> NDArray[np.float64]:
    """The picture in the file ``name``, or in standard input for ``-``: ``(height, width, 3)`` with values 0..1.

    A photo is turned upright, as its EXIF data says. What is transparent becomes white, or black if the drawing is light.

    Raises:
        UserError: there is no such file, it is too large, or it is not a picture.
    """
    shown = "standard input" if name == STANDARD_INPUT else name
    content = _content(name, shown)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about large pictures and strange metadata
            picture = Image.open(io.BytesIO(content))
            if picture.width * picture.height > MAX_PIXELS:
                raise UserError(
                    f"{shown}: {picture.width} x {picture.height} pixels are too many; the limit is 100 million"
                )
            picture.draft(
                "RGB", (2 * MAX_SIDE, 2 * MAX_SIDE)
            )  # a large JPEG is read at a smaller size, which is faster
            return _as_array(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError as error:
        raise UserError(f"{shown}: this is not a picture that Pillow can read") from error
    except MemoryError as error:
        raise UserError(f"{shown}: there is not enough memory for this picture") from error
    except UserError:
        raise
    except Exception as error:  # Pillow raises errors of many types for a damaged file
        raise UserError(f"{shown}: the picture cannot be read: {error}") from error


def _content(name: str, shown: str) -> bytes:
    try:
        if name == STANDARD_INPUT:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            if Path(name).is_dir():
                raise UserError(f"{shown}: this is a folder, not a picture")
            with Path(name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{shown}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{shown}: the file is larger than {MAX_BYTES // MB} MB")
    return content


def _as_array(picture: Image.Image) -> NDArray[np.float64]:
    if picture.mode.startswith(("I", "F")):  # 16 bits, or numbers without a fixed range
        values = np.asarray(picture, dtype=np.float64)
        low, high = values.min(), values.max()
        picture = Image.fromarray(np.round(255 * (values - low) / ((high - low) or 1)).astype(np.uint8))
    picture = picture.convert("RGBA")
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    values = np.asarray(picture, dtype=np.float64) / 255
    colours, opacity = values[..., :3], values[..., 3:]
    drawn = (colours * opacity).sum() / max(3 * opacity.sum(), 1e-9)  # the mean brightness of what is not transparent
    paper = 0.0 if opacity.min() < 1 and drawn > 0.5 else 1.0
    return colours * opacity + paper * (1 - opacity)
