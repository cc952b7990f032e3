from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_lite import data
from mnist_lite.data import Split
from mnist_lite.data.mnist import load_mnist
from mnist_lite.data.split import balanced
from mnist_lite.errors import UserError
from mnist_lite.schema import DataConfig


def config(
    name: str, root: Path | str = "nowhere", train: int | None = None, test: int | None = None, holdout: int = 0
):
    return DataConfig(name=name, root=str(root), train_limit=train, test_limit=test, holdout=holdout)


def idx(path: Path) -> np.ndarray:
    """Reads an IDX file by its specification, without torchvision."""
    raw = gzip.decompress(path.read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


@pytest.fixture
def offline(monkeypatch):
    """No mirror answers."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_real_mnist_is_byte_for_byte_the_files(mnist_root):
    train, test = load_mnist(mnist_root)
    raw = mnist_root / "MNIST" / "raw"
    for split, prefix, count in ((train, "train", 60_000), (test, "t10k", 10_000)):
        assert split.images.shape == (count, 1, 28, 28) and split.images.dtype == torch.uint8
        assert split.labels.shape == (count,) and split.labels.dtype == torch.int64
        assert np.array_equal(split.images[:, 0].numpy(), idx(raw / f"{prefix}-images-idx3-ubyte.gz"))
        assert np.array_equal(split.labels.numpy(), idx(raw / f"{prefix}-labels-idx1-ubyte.gz"))


def test_real_mnist_is_normalised_with_the_known_figures(mnist_root):
    loaded = data.load(config("mnist", mnist_root))
    assert (round(loaded.mean, 4), round(loaded.std, 4)) == (0.1307, 0.3081)
    normalised = loaded.normalise(loaded.train.images.double() / 255)
    assert abs(float(normalised.mean())) < 1e-6
    assert abs(float(normalised.std(unbiased=False)) - 1) < 1e-6
    assert (loaded.name, loaded.judge, loaded.warning) == ("mnist", "test", None)


def test_extracted_files_alone_do(mnist_root, tmp_path, offline):
    shutil.copytree(mnist_root, tmp_path / "copy")
    load_mnist(tmp_path / "copy")
    for packed in (tmp_path / "copy" / "MNIST" / "raw").glob("*.gz"):
        packed.unlink()
    assert len(load_mnist(tmp_path / "copy")[0]) == 60_000


def test_a_folder_that_cannot_be_written_to_is_read(mnist_root, tmp_path, monkeypatch, offline):
    root = tmp_path / "locked"
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (mnist_root / "MNIST" / "raw").glob("*.gz"):
        shutil.copy(packed, raw)
    before = sorted(raw.iterdir())
    # permissions do not hold root back, so the answer of the system is replaced
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(root)))
    assert len(load_mnist(root)[1]) == 10_000
    assert sorted(raw.iterdir()) == before


def test_mnist_that_cannot_be_had_is_one_line(tmp_path, offline):
    with pytest.raises(UserError) as caught:
        data.load(config("mnist", tmp_path / "empty"))
    text = str(caught.value)
    assert "\n" not in text
    assert str(tmp_path / "empty" / "MNIST" / "raw") in text
    assert "data=digits" in text and "MNIST_LITE_DATA" in text
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda raw: (raw / "train-labels-idx1-ubyte.gz").unlink(), "train-labels-idx1-ubyte.gz is missing"),
        (
            lambda raw: (raw / "t10k-images-idx3-ubyte.gz").write_bytes(b"<html>"),
            "t10k-images-idx3-ubyte.gz is damaged",
        ),
        (lambda raw: (raw / "train-images-idx3-ubyte.gz").write_bytes(b""), "train-images-idx3-ubyte.gz is damaged"),
    ],
)
def test_a_damaged_packed_file_is_named(damage, said, mnist_root, tmp_path, offline):
    shutil.copytree(mnist_root, tmp_path / "copy")
    for plain in (tmp_path / "copy" / "MNIST" / "raw").glob("*ubyte"):
        plain.unlink()
    damage(tmp_path / "copy" / "MNIST" / "raw")
    with pytest.raises(UserError, match=said):
        load_mnist(tmp_path / "copy")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda raw: (raw / "train-labels-idx1-ubyte").write_bytes(b"\0" * 100), "has 100 bytes instead of 60008"),
        (lambda raw: (raw / "t10k-images-idx3-ubyte").write_bytes(b""), "has 0 bytes instead of 7840016"),
        (
            lambda raw: (raw / "t10k-labels-idx1-ubyte").write_bytes(
                (raw / "t10k-labels-idx1-ubyte").read_bytes()[:-1] + b"\xc8"
            ),
            "a label of the test split is 200",
        ),
    ],
)
def test_a_damaged_extracted_file_is_named(damage, said, mnist_root, tmp_path, offline):
    shutil.copytree(mnist_root, tmp_path / "copy")
    load_mnist(tmp_path / "copy")
    damage(tmp_path / "copy" / "MNIST" / "raw")
    with pytest.raises(UserError, match=said):
        load_mnist(tmp_path / "copy")


def test_auto_falls_back_loudly_and_says_what_it_is(tmp_path, offline):
    loaded = data.load(config("auto", tmp_path / "empty"))
    assert loaded.name == "digits"
    assert loaded.warning is not None and "NOT MNIST" in loaded.warning


def test_digits_are_scikit_learns(tmp_path):
    from sklearn.datasets import load_digits

    loaded = data.load(config("digits"))
    assert (len(loaded.train), len(loaded.test)) == (1437, 360)
    assert loaded.train.images.shape[1:] == (1, 28, 28) and loaded.train.images.dtype == torch.uint8
    source = load_digits()
    ours = torch.cat([loaded.train.labels, loaded.test.labels]).bincount()
    assert ours.tolist() == np.bincount(source.target).tolist()
    assert int(loaded.train.images.max()) == 255
    # the same pictures: shrunk back to 8x8, every test image is nearer to an original of its own class than to any other
    small = torch.nn.functional.interpolate(loaded.test.images.float(), size=(8, 8), mode="area").flatten(1) * 16 / 255
    nearest = torch.cdist(small, torch.from_numpy(source.data).float()).argmin(1)
    assert np.array_equal(source.target[nearest.numpy()], loaded.test.labels.numpy())


def test_subsets_are_balanced_nested_and_do_not_depend_on_anything():
    loaded = data.load(config("digits", train=205, test=100))
    counts = loaded.train.labels.bincount(minlength=10)
    assert counts.tolist() == [21] * 5 + [20] * 5
    assert loaded.test.labels.bincount(minlength=10).tolist() == [10] * 10
    whole = data.load(config("digits")).train
    small, large = balanced(whole, 100, "k"), balanced(whole, 205, "k")
    assert set(small.tolist()) <= set(large.tolist())
    assert torch.equal(whole.take(large).images, loaded.train.images)


def test_holdout_is_taken_out_of_train_and_never_trained_on():
    loaded = data.load(config("digits", holdout=200))
    assert loaded.holdout is not None
    assert (len(loaded.train), len(loaded.holdout), len(loaded.test)) == (1237, 200, 360)
    assert loaded.judge == "holdout"
    whole = data.load(config("digits")).train
    ours = torch.cat([loaded.train.images, loaded.holdout.images]).flatten(1)
    assert sorted(map(bytes, ours.numpy())) == sorted(map(bytes, whole.images.flatten(1).numpy()))
    assert loaded.mean == loaded.train.mean_and_std()[0]


@pytest.mark.parametrize(
    "part", [{"train": 2_000}, {"test": 361}, {"holdout": 1_438}, {"holdout": 1_437}, {"holdout": 1_430}]
)
def test_more_images_than_there_are_is_one_line(part):
    with pytest.raises(UserError, match=r"data\.(train_limit|test_limit|holdout)"):
        data.load(config("digits", **part))


def test_mean_and_std_against_numpy():
    images = torch.randint(0, 256, (50, 1, 28, 28), dtype=torch.uint8)
    split = Split(images, torch.zeros(50, dtype=torch.int64))
    values = images.numpy() / 255
    assert split.mean_and_std() == pytest.approx((values.mean(), values.std()))
