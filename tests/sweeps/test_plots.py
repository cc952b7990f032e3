"""The pictures of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from mnist_lite.sweeps.finalize import finalize
from mnist_lite.sweeps.plots import write_comparisons, write_curves
from mnist_lite.sweeps.results import read_results
from tests.sweeps.fake_sweep import write_grid


def test_there_is_a_picture_for_each_varied_number(mixed_sweep: Path):
    write_curves(mixed_sweep, read_results(mixed_sweep))
    names = write_comparisons(mixed_sweep, read_results(mixed_sweep))
    assert names == ["accuracy_by_optimizer.lr.png"]
    assert all((mixed_sweep / name).read_bytes().startswith(b"\x89PNG") for name in ["curves.png", *names])


def test_networks_of_different_size_are_compared_by_parameters(tmp_path: Path):
    write_grid(tmp_path, {"0.01": [99.1, 99.2], "0.02": [99.4, 99.5]})
    path = tmp_path / "run_0.02_0" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "parameters": 200}))
    names = write_comparisons(tmp_path, read_results(tmp_path))
    assert names == ["accuracy_by_optimizer.lr.png", "accuracy_by_parameters.png"]


def test_curves_of_one_epoch_are_visible(tmp_path: Path):
    """The picture has the colours of both groups above the legend."""
    write_grid(tmp_path, {"0.01": [90.0, 91.0], "0.1": [95.0, 96.0]})
    write_curves(tmp_path, read_results(tmp_path))
    picture = imread(tmp_path / "curves.png")[:, :, :3]
    legend = picture.shape[0] * 3 // 4  # the legend is in the lower right corner
    for colour in ("tab:blue", "tab:orange"):
        is_near = (abs(picture - np.array(to_rgb(colour))) < 0.02).all(2)
        assert is_near[:legend].sum() > 15, colour


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff\xfe", b'{"epoch": "x"}\n', b'{"test/accuracy": 3}\n'])
def test_pictures_leave_out_runs_with_damaged_metrics(damage: bytes, mixed_sweep: Path):
    for path in mixed_sweep.glob("*/metrics.jsonl"):
        path.write_bytes(damage)
    finalize(mixed_sweep)
    assert (mixed_sweep / "curves.png").is_file()
