"""Pictures of digits are prepared as MNIST's images were. MNIST itself says what is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_lite.data.mnist import load_mnist
from mnist_lite.data.split import Split
from mnist_lite.errors import UserError
from mnist_lite.insight.as_mnist import as_mnist
from mnist_lite.insight.classify import prepare
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.predictions import predict
from mnist_lite.insight.saved_run import load_run
from tests.insight.drawn_digits import draw_all


@pytest.fixture(scope="module")
def test_split(mnist_root: Path) -> Split:
    return load_mnist(mnist_root)[1]


def picture(pixels: np.ndarray) -> np.ndarray:
    """A grey picture as ``read_picture`` gives it."""
    return np.repeat(pixels[..., None] / 255.0, 3, axis=2)


def block(height: int, width: int, top: int, left: int, side: int = 60) -> np.ndarray:
    pixels = np.zeros((side, side))
    pixels[top : top + height, left : left + width] = 255
    return picture(pixels)


def test_shifted_digits_of_mnist_are_centred_back_to_what_they_were(test_split: Split):
    random = np.random.default_rng(0)
    for image in test_split.images[:60, 0].numpy():
        pixels = np.zeros((40, 48))
        top, left = random.integers(0, 13), random.integers(0, 21)
        pixels[top : top + 28, left : left + 28] = image
        for shown in (pixels, 255 - pixels):
            assert np.abs(as_mnist(picture(shown)) - image.astype(int)).max() <= 1


def test_scaled_digits_of_mnist_are_scaled_back(test_split: Split):
    """Scaling blurs a digit, so the images differ a little; the network's answer must not."""
    run = load_run(find_runs(["zoo:era4"])[0])
    images = test_split.images[:60]
    for factor in (2, 3.7, 10):
        size = (round(28 * factor),) * 2
        scaled = [
            np.asarray(Image.fromarray(image[0].numpy()).resize(size, Image.Resampling.BICUBIC)) for image in images
        ]
        found = torch.stack([torch.from_numpy(as_mnist(picture(pixels))) for pixels in scaled]).unsqueeze(1)
        assert (found.float() - images.float()).abs().mean() < 8
        assert torch.equal(predict(run, found).argmax(1), predict(run, images).argmax(1))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(40, 20, (20, 10)), (20, 40, (10, 20)), (20, 20, (20, 20)), (10, 5, (20, 10)), (50, 5, (20, 2))],
)
def test_the_longer_side_becomes_20_pixels_and_the_centre_of_mass_the_middle(height, width, expected):
    image = as_mnist(block(height, width, 3, 7))
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    assert (len(rows), len(columns)) == expected
    assert image.max() == 255
    for filled in (rows, columns):  # MNIST's own centres of mass are in 13.5..14.5, too
        assert 13.5 <= filled.mean() <= 14.5


def test_any_two_colours_give_the_same_image():
    shape = block(30, 12, 10, 20)[..., :1] > 0.5
    expected = as_mnist(block(30, 12, 10, 20))
    for ink, paper in (
        ((0, 0, 0), (1, 1, 1)),
        ((1, 1, 0), (0, 0.3, 0)),
        ((0.9, 0.8, 0), (1, 1, 1)),
        ((1, 0, 0), (0, 0.4, 0.6)),
    ):
        assert np.array_equal(as_mnist(np.where(shape, ink, paper)), expected), (ink, paper)


def test_uneven_light_noise_and_specks_do_not_change_a_photo():
    random = np.random.default_rng(0)
    light = 0.5 + 0.4 * np.linspace(0, 1, 200)[:, None, None] - 0.1 * np.linspace(-1, 1, 200)[None, :, None] ** 2
    clean = np.ones((200, 200, 3))
    clean[60:140, 80:110] = 0.1
    dirty = clean.copy()
    dirty[20:23, 20:23] = 0.1  # a speck
    dirty[:, :8] = 0.1  # the edge of the paper
    photo = (dirty * light + random.normal(0, 0.02, clean.shape)).clip(0, 1)
    assert np.abs(as_mnist(photo).astype(int) - as_mnist(clean)).mean() < 3


@pytest.mark.parametrize("pixels", [np.zeros((30, 30)), np.full((30, 30), 255.0), np.full((1, 1), 9.0)])
def test_an_empty_picture_is_an_error(pixels):
    with pytest.raises(UserError):
        as_mnist(picture(pixels))


def test_30_drawn_pictures(tmp_path: Path):
    """29 of 30 leaves room for another version of Pillow. The network that is shipped reads all 30."""
    drawn = list(draw_all())
    for name, _, content in drawn:
        (tmp_path / name).write_bytes(content)
    images = prepare([str(tmp_path / name) for name, _, _ in drawn])
    predictions = predict(load_run(find_runs(["zoo:era4"])[0]), images).argmax(1).tolist()
    right = sum(p == digit for p, (_, digit, _) in zip(predictions, drawn, strict=True))
    assert len(drawn) == 30 and right >= 29
