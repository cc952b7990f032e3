"""Reading a run folder: the network computes what the run evaluated, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mnist_lite.data.dataset import load
from mnist_lite.errors import UserError
from mnist_lite.insight.saved_run import load_run
from mnist_lite.reporting.console import Console
from mnist_lite.runner import checkpoint
from mnist_lite.runner.run import run
from tests.conftest import Compose
from tests.faults.recipes import FEW, SMALL


def trained(composed: Compose, folder: Path, *overrides: str) -> Path:
    """The folder of a short run."""
    run(composed(*FEW, *SMALL, *overrides, f"runs_dir={folder}"), Console(lambda *_: None))
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("more", [(), ("ema_decay=0.8",), ("model=residual_8k", "epochs=2")])
def test_the_network_has_the_accuracy_of_the_run(more: tuple[str, ...], composed: Compose, tmp_path: Path):
    config = composed(*FEW, *SMALL, *more, f"runs_dir={tmp_path}")
    folder = trained(composed, tmp_path, *more)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    saved = load_run(folder)
    test = load(config.data).test
    with torch.inference_mode():
        predicted = saved.classifier()(test.images).argmax(1)
    assert saved.summary is not None
    assert 100 * float((predicted == test.labels).float().mean()) == pytest.approx(saved.summary.accuracy.test.final)
    assert saved.network.parameters == saved.summary.parameters
    assert saved.name == config.name
    assert [row["epoch"] for row in saved.rows if "test/loss" in row] == list(range(1, config.epochs + 1))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_unfinished_run_has_the_weights_of_its_checkpoint(composed: Compose, tmp_path: Path):
    folder = trained(composed, tmp_path)
    (folder / "summary.json").unlink()
    saved = load_run(folder)
    assert saved.summary is None and saved.epoch == 4


def test_a_folder_without_weights_is_one_line(composed: Compose, tmp_path: Path):
    with pytest.raises(UserError, match="there is no such folder"):
        load_run(tmp_path / "no")
    with pytest.raises(UserError, match=r"last\.pt is missing"):
        load_run(tmp_path)
    folder = trained(composed, tmp_path)
    (folder / "last.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"last\.pt cannot be used: it is empty"):
        load_run(folder)


@pytest.mark.parametrize(
    "layers",
    [
        None,
        [],
        [{"conv": 10_000_000}],
        ["relu", {"conv": 10}, "global_avg_pool"],
        [{"repeat": 1000, "layers": [{"repeat": 1000, "layers": ["relu"]}]}],
    ],
)
def test_layers_that_do_not_fit_the_weights_are_one_line(layers: object, composed: Compose, tmp_path: Path):
    folder = trained(composed, tmp_path)
    state = checkpoint.read(folder / "last.pt")
    state["config"]["model"] = {"layers": layers}
    (folder / "last.pt").write_bytes(checkpoint.pack(state))
    with pytest.raises(UserError) as caught:
        load_run(folder)
    assert len(str(caught.value).splitlines()) == 1
