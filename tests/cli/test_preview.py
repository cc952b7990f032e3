"""``mnist-lite preview``: what it prints, its picture, its errors."""

from __future__ import annotations

import pytest

from mnist_lite.insight import preview
from mnist_lite.reporting import preview_plots
from tests.conftest import RunCommand

DIGITS = ("data=digits", "data.train_limit=200")


def test_it_prints_counts_statistics_and_images(call: RunCommand, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    result = call("preview", *DIGITS, "augment=rotation", "data.holdout=100", "picture=here.png")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["digits", *map(str, range(10)), "all"] in lines
    assert ["training", *["20"] * 10, "200"] in lines and ["held", "out", *["10"] * 10, "100"] in lines
    assert "The 200 training images have 156,800 pixels" in result.stdout
    assert "with the augmentation rotation" in result.stdout and "█" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["here.png"]


def test_the_first_version_is_the_image_itself_and_the_others_are_augmented(call: RunCommand, monkeypatch):
    drawn = {}
    monkeypatch.setattr(preview, "mosaic", lambda images: images)
    monkeypatch.setattr(preview_plots, "draw", lambda **values: drawn.update(values) or b"png")
    assert call("preview", *DIGITS, "augment=rotation", "image=3").returncode == 0
    versions = drawn["versions"]
    assert versions.shape == (100, 1, 28, 28) and "training image 3, a " in drawn["augmentation"]
    assert len({version.numpy().tobytes() for version in versions}) == 100
    assert call("preview", *DIGITS, "augment=none", "image=3").returncode == 0
    assert all((version == versions[0]).all() for version in drawn["versions"])


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("image=200", "image: 200 is out of range; there are 200 training images, from 0 on"),
        ("image=-1", "image: -1 is out of range; expected >= 0"),
        ("augment.transforms=[{spin: 3}]", "augment.transforms: entry 1"),
    ],
)
def test_bad_arguments_are_one_line(argument, error, call: RunCommand, tmp_path):
    result = call("preview", *DIGITS, argument)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {error}") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_a_picture_nothing_is_written(call: RunCommand, tmp_path):
    assert call("preview", *DIGITS, "picture=null").returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_one_line(call: RunCommand):
    result = call("preview", *DIGITS, "picture=missing/here.png")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: picture: there is no folder missing\n"


def test_a_picture_is_a_png_file(call: RunCommand, tmp_path):
    result = call("preview", *DIGITS, "picture=here.jpg")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: picture: here.jpg does not end with .png") and not list(tmp_path.iterdir())
