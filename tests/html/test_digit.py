"""Drawings become the same 28 x 28 pixels in the page's JavaScript and in ``predict``.

``drawings/`` has bitmaps of the canvas of the page: ink is 255. Each was drawn in Chromium.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mnist_lite.errors import UserError
from mnist_lite.insight.as_mnist import as_mnist
from mnist_lite.insight.classify import prepare
from tests.insight.drawn_digits import by_hand

Bitmap = NDArray[np.uint8]
DRAWINGS = sorted((Path(__file__).parent / "drawings").glob("*.png"))


def in_javascript(page: Any, bitmaps: list[Bitmap]) -> list[Any]:
    """``asMnist`` of each bitmap: 784 values, or None."""
    drawings = [
        {"width": b.shape[1], "height": b.shape[0], "data": base64.b64encode(b.tobytes()).decode()} for b in bitmaps
    ]
    found: list[Any] = page.evaluate(
        """(drawings) => drawings.map((drawing) => {
            const image = asMnist({ ...drawing, data: bytesOf(drawing.data) });
            return image && Array.from(image);
        })""",
        drawings,
    )
    return found


def difference(found: list[int], expected: NDArray[Any]) -> int:
    return int(np.abs(np.array(found).reshape(28, 28) - expected.astype(int)).max())


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_a_drawing_becomes_the_same_pixels(path: Path, bare_page: Any, tmp_path: Path):
    (found,) = in_javascript(bare_page, [np.asarray(Image.open(path))])
    assert difference(found, prepare([str(path)])[0, 0].numpy()) <= 1
    dark_on_light = tmp_path / path.name
    Image.fromarray(255 - np.asarray(Image.open(path))).save(dark_on_light)
    assert difference(found, prepare([str(dark_on_light)])[0, 0].numpy()) <= 1


def test_random_drawings_become_the_same_pixels(bare_page: Any):
    random = np.random.default_rng(0)
    bitmaps = []
    for i in range(20):
        side = int(random.integers(20, 449)) if i % 2 else 448
        blurred = by_hand(i % 10, random, side, random.uniform(0.02, 0.2)).filter(
            ImageFilter.GaussianBlur(random.uniform(0, 2))
        )
        bitmap = (np.asarray(blurred) * random.uniform(0.3, 1)).astype(np.uint8)
        bitmap[[0, -1]] = bitmap[:, [0, -1]] = 0
        bitmaps.append(bitmap)
    for bitmap, found in zip(bitmaps, in_javascript(bare_page, bitmaps), strict=True):
        assert difference(found, as_mnist(np.repeat(bitmap[..., None] / 255.0, 3, axis=2))) <= 1


def test_an_empty_drawing_has_no_image(bare_page: Any):
    faint = np.zeros((30, 30), dtype=np.uint8)
    faint[10:20, 10:20] = 12
    empty = np.zeros((30, 30), dtype=np.uint8)
    assert in_javascript(bare_page, [empty, faint]) == [None, None]
    for bitmap in (empty, faint):
        with pytest.raises(UserError):
            as_mnist(np.repeat(bitmap[..., None] / 255.0, 3, axis=2))
