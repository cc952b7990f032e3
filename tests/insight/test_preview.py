"""The numbers and the images of a preview, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mnist_lite.config.schema import DataConfig
from mnist_lite.data.dataset import load
from mnist_lite.data.split import Split
from mnist_lite.insight.preview import PixelSums, block_lines, counts, mosaic, samples


@pytest.fixture(scope="module")
def train() -> Split:
    return load(DataConfig(name="digits", root="")).train


def test_sums_mean_and_standard_deviation_are_those_of_numpy(train):
    sums = PixelSums.of(train)
    pixels = train.images.numpy().astype(np.float64)
    assert (sums.images, sums.pixels) == (len(train), pixels.size)
    assert (sums.total, sums.squares) == (pixels.sum(), (pixels**2).sum())
    assert sums.mean == pytest.approx((pixels / 255).mean(), rel=1e-12)
    assert sums.std == pytest.approx((pixels / 255).std(), rel=1e-10)
    assert (sums.mean, sums.std) == pytest.approx(train.mean_and_std(), rel=1e-10)  # what the training uses


def test_the_two_numbers_of_mnist(mnist_root):
    sums = PixelSums.of(load(DataConfig(name="mnist", root=str(mnist_root))).train)
    assert (f"{sums.mean:.4f}", f"{sums.std:.4f}", sums.pixels) == ("0.1307", "0.3081", 60_000 * 784)


def test_counts(train):
    assert counts(train) == np.bincount(train.labels.numpy(), minlength=10).tolist()


def test_samples_are_the_first_images_of_each_class(train):
    few = train.take(torch.arange(30))
    grid = samples(few, 4)
    assert grid.shape == (40, 1, 28, 28)
    for digit in range(10):
        found = few.images[few.labels == digit][:4]
        assert torch.equal(grid[4 * digit : 4 * digit + len(found)], found)
        assert grid[4 * digit + len(found) : 4 * digit + 4].sum() == 0


def test_a_mosaic_has_the_images_row_by_row():
    images = torch.arange(100, dtype=torch.uint8)[:, None, None, None].expand(100, 1, 28, 28)
    picture = torch.tensor(mosaic(images))
    assert picture.shape == (300, 300)
    assert torch.equal(picture[1::30, 1::30], torch.arange(100).view(10, 10))
    assert picture[0, 0] == 128  # the line between two images


def test_blocks_show_the_digit_at_half_its_size():
    image = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    image[0, 0, 4:8, 2:6] = 255  # rows 2 and 3 and columns 1 and 2 at half the size: one line of two characters
    lines = block_lines(image, None)
    assert lines == ["", " ██", *[""] * 5]
    assert [line.count("██") for line in block_lines(image.repeat(3, 1, 1, 1), 40)] == [
        0,
        2,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        *[0] * 5,
    ]
