"""Reading pictures of users: formats, transparency, and files that must not be read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_lite.errors import UserError
from mnist_lite.insight import image_file
from mnist_lite.insight.image_file import read_picture


def test_all_kinds_of_pictures_have_three_colours_in_0_to_1(tmp_path: Path):
    pixels = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
    grey = Image.fromarray(pixels)
    expected = np.repeat(pixels[..., None] / 255, 3, 2)
    for mode, name in (
        ("L", "a.png"),
        ("RGB", "a.bmp"),
        ("LA", "b.png"),
        ("RGBA", "c.png"),
        ("L", "a.tiff"),
        ("L", "a.webp"),
    ):
        grey.convert(mode).save(tmp_path / name, lossless=True)  # for webp
        assert np.allclose(read_picture(str(tmp_path / name)), expected), name
    Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.allclose(read_picture(str(tmp_path / "deep.png")), expected * 255 / 239, atol=1 / 250)  # its full range


@pytest.mark.parametrize(("ink", "paper"), [(0, 1.0), (255, 0.0)])
def test_what_is_transparent_is_paper(ink: int, paper: float, tmp_path: Path):
    pixels = np.zeros((10, 10, 4), np.uint8)
    pixels[4:6, 4:6] = (ink, ink, ink, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_picture(str(tmp_path / "a.png"))
    assert (found[0, 0] == paper).all() and (found[4, 4] == ink / 255).all()


def test_a_photo_is_turned_upright(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.new("L", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(str(tmp_path / "a.jpg")).shape == (40, 20, 3)


def test_a_large_picture_becomes_smaller(tmp_path: Path):
    Image.new("L", (3000, 1000), 255).save(tmp_path / "a.png")
    assert read_picture(str(tmp_path / "a.png")).shape == (171, 512, 3)


def test_standard_input(monkeypatch: pytest.MonkeyPatch):
    content = io.BytesIO()
    Image.new("L", (5, 4), 51).save(content, "png")
    content.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    assert np.allclose(read_picture("-"), np.full((4, 5, 3), 0.2))


def test_what_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "text.png").write_text("this is no picture")
    Image.new("L", (30, 30), 7).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-30])
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")  # 18 kB, and 576 MB in memory
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    for name, message in (
        ("text.png", "not a picture"),
        ("cut.png", "cannot be read"),
        ("bomb.png", "12000 x 12000 pixels are too many"),
        (".", "a folder"),
        ("no.png", "No such file"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            read_picture(str(tmp_path / name))
        assert len(str(caught.value).splitlines()) == 1
    monkeypatch.setattr(image_file, "MAX_BYTES", 10)
    with pytest.raises(UserError, match="larger than"):
        read_picture(str(tmp_path / "text.png"))
