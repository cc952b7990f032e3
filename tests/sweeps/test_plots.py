"""The pictures of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from mnist_lite.sweeps.finalize import finalize, list_outputs
from mnist_lite.sweeps.plots import write_comparisons, write_curves
from mnist_lite.sweeps.results import read_results
from tests.sweeps.fake_sweep import write_grid


def test_there_is_a_picture_for_each_varied_number(mixed_sweep: Path):
    write_curves(mixed_sweep, read_results(mixed_sweep))
    names = write_comparisons(mixed_sweep, read_results(mixed_sweep))
    assert names == ["accuracy_by_optimizer.lr.png"]
    assert all((mixed_sweep / name).read_bytes().startswith(b"\x89PNG") for name in ["curves.png", *names])


@pytest.mark.parametrize(
    ("rates", "labels"),
    [
        (["0.01", "0.05"], [0.01, 0.05]),
        (["0.003", "0.01", "0.03", "0.1"], [0.003, 0.01, 0.03, 0.1]),
        (["0.01", "0.0101", "0.1"], None),  # no room for the first two
    ],
)
def test_the_axis_of_rates_has_labels_at_the_rates(
    rates: list[str], labels: list[float] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_grid(tmp_path, {rate: [99.1, 99.2] for rate in rates})
    drawn: list[Any] = []

    def keep(make: Callable[[], Any]) -> bytes:
        drawn.append(make())
        return b"a picture"

    monkeypatch.setattr("mnist_lite.reporting.png.draw", keep)
    write_comparisons(tmp_path, read_results(tmp_path))
    [figure] = drawn
    low, high = figure.axes[0].get_xlim()
    shown = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    if labels is None:
        assert 0.0101 not in shown
    else:
        assert shown == labels


def test_the_list_of_pictures_has_only_those_of_the_sweep(mixed_sweep: Path):
    """``compare`` may have written pictures of several sweeps into this folder."""
    (mixed_sweep / "comparison_curves.png").write_bytes(b"an older picture")
    finalize(mixed_sweep)
    pictures = [line for line in list_outputs(mixed_sweep).splitlines() if line.startswith("picture: ")]
    assert pictures == [f"picture: {mixed_sweep / name}" for name in ("accuracy_by_optimizer.lr.png", "curves.png")]


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
