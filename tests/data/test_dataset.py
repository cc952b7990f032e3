from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_lite.config.schema import DataConfig
from mnist_lite.data import dataset
from mnist_lite.data.dataset import Split
from mnist_lite.data.split import balanced_indices
from mnist_lite.errors import UserError


def config(
    name: str, root: Path | str = "nowhere", train: int | None = None, test: int | None = None, holdout: int = 0
):
    return DataConfig(name=name, root=str(root), train_limit=train, test_limit=test, holdout=holdout)


def test_real_mnist_is_normalised_with_the_known_figures(mnist_root):
    loaded = dataset.load(config("mnist", mnist_root))
    assert (round(loaded.mean, 4), round(loaded.std, 4)) == (0.1307, 0.3081)
    normalised = loaded.inputs(loaded.train.images, torch.device("cpu")).double()
    assert abs(float(normalised.mean())) < 1e-6
    assert abs(float(normalised.std(unbiased=False)) - 1) < 1e-6
    assert (loaded.name, loaded.selection_split, loaded.warning) == ("mnist", "test", None)


def test_auto_without_mnist_uses_digits_with_a_warning(tmp_path, offline):
    loaded = dataset.load(config("auto", tmp_path / "empty"))
    assert loaded.name == "digits"
    assert loaded.warning is not None and "NOT MNIST" in loaded.warning


def test_digits_are_scikit_learns(tmp_path):
    from sklearn.datasets import load_digits

    loaded = dataset.load(config("digits"))
    assert (len(loaded.train), len(loaded.test)) == (1437, 360)
    assert loaded.train.images.shape[1:] == (1, 28, 28) and loaded.train.images.dtype == torch.uint8
    source = load_digits()
    with (files("mnist_lite.data") / "digits.npz").open("rb") as file, np.load(file) as arrays:
        ours = np.column_stack([arrays["labels"], arrays["images"].reshape(-1, 64)])
    theirs = np.column_stack([source.target, source.data])
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))
    for label, count in enumerate(np.bincount(source.target)):  # 20 % of each class are test images
        assert abs(int((loaded.test.labels == label).sum()) - 0.2 * count) < 1
    assert int(loaded.train.images.max()) == 255
    # Resized back to 8x8, the nearest original of every test image has the same class.
    small = torch.nn.functional.interpolate(loaded.test.images.float(), size=(8, 8), mode="area").flatten(1) * 16 / 255
    nearest = torch.cdist(small, torch.from_numpy(source.data).float()).argmin(1)
    assert np.array_equal(source.target[nearest.numpy()], loaded.test.labels.numpy())


def test_the_default_is_all_images():
    loaded = dataset.load(DataConfig(name="digits", root="nowhere"))
    assert (len(loaded.train), len(loaded.test), loaded.holdout) == (1437, 360, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "digits"}, "data.root: missing"),
        ({"root": "nowhere"}, "data.name: missing"),
        ({"name": "digit", "root": "nowhere"}, "data.name: 'digit' is not allowed; did you mean digits?"),
        ({"name": "digits", "root": "nowhere", "holdout": -1}, "data.holdout: -1 is out of range; expected >= 0"),
    ],
)
def test_a_wrong_config_from_python_is_one_line(given, message):
    with pytest.raises(UserError) as caught:
        dataset.load(DataConfig(**given))
    assert str(caught.value).startswith(message)


def test_subsets_are_balanced_and_nested():
    loaded = dataset.load(config("digits", train=205, test=100))
    counts = loaded.train.labels.bincount(minlength=10)
    assert counts.tolist() == [21] * 5 + [20] * 5
    assert loaded.test.labels.bincount(minlength=10).tolist() == [10] * 10
    full = dataset.load(config("digits")).train
    small, large = balanced_indices(full, 100, "k"), balanced_indices(full, 205, "k")
    assert set(small.tolist()) <= set(large.tolist())
    assert torch.equal(full.take(large).images, loaded.train.images)


def test_holdout_is_taken_out_of_train_and_never_trained_on():
    loaded = dataset.load(config("digits", holdout=200))
    assert loaded.holdout is not None
    assert (len(loaded.train), len(loaded.holdout), len(loaded.test)) == (1237, 200, 360)
    assert loaded.selection_split == "holdout"
    full = dataset.load(config("digits")).train
    ours = torch.cat([loaded.train.images, loaded.holdout.images]).flatten(1)
    assert sorted(map(bytes, ours.numpy())) == sorted(map(bytes, full.images.flatten(1).numpy()))
    assert loaded.mean == loaded.train.mean_and_std()[0]


@pytest.mark.parametrize(
    "part", [{"train": 2_000}, {"test": 361}, {"holdout": 1_438}, {"holdout": 1_437}, {"holdout": 1_430}]
)
def test_more_images_than_there_are_is_one_line(part):
    with pytest.raises(UserError, match=r"data\.(train_limit|test_limit|holdout)"):
        dataset.load(config("digits", **part))


def test_mean_and_std_against_numpy():
    images = torch.randint(0, 256, (50, 1, 28, 28), dtype=torch.uint8)
    split = Split(images, torch.zeros(50, dtype=torch.int64))
    values = images.numpy() / 255
    assert split.mean_and_std() == pytest.approx((values.mean(), values.std()))
