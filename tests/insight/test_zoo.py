"""Shipped weights: their cards say what the files hold, and they are found wherever a run is."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from mnist_lite.data.mnist import load_mnist
from mnist_lite.errors import UserError
from mnist_lite.insight import zoo
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.predictions import predict
from mnist_lite.insight.saved_run import load_run


@pytest.mark.parametrize("name", zoo.names())
def test_the_card_says_what_the_files_hold(name: str):
    (folder,) = find_runs([f"zoo:{name}"])
    run, card = load_run(folder), zoo.read_card(folder)
    assert card.sha256 == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert (card.parameters, card.epochs, card.config) == (run.network.parameters, run.epoch, run.config)
    assert run.summary is not None and run.summary.accuracy.test.final == pytest.approx(card.figures[0].percent)
    assert run.rows[-1]["test/accuracy"] == pytest.approx(card.figures[0].percent)
    assert zoo.card_text(card) == (folder / "card.md").read_text(encoding="utf-8")
    assert run.config["data"]["root"] == "data" and zoo.name_of(folder) == f"zoo:{name}"
    assert run.config["runs_dir"] == "runs" and run.config["sweep"]["dir"].startswith(
        "runs/sweeps"
    )  # no machine's folders


@pytest.mark.parametrize("name", zoo.names())
def test_the_figure_of_the_card_is_that_of_the_weights(name: str, mnist_root: Path):
    (folder,) = find_runs([f"zoo:{name}"])
    test = load_mnist(mnist_root)[1]
    correct = int((predict(load_run(folder), test.images).argmax(1) == test.labels).sum())
    figure = zoo.read_card(folder).figures[0]
    assert figure.n == 10_000 and figure.percent == pytest.approx(correct / 100)
    p, z, n = correct / 10_000, 1.959964, 10_000  # Wilson's interval by its formula
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    expected = [100 * (centre + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
    assert figure.interval == pytest.approx(expected, abs=1e-3)


def test_damaged_weights_and_unknown_names_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="zoo:era: there are no such weights; did you mean zoo:era4"):
        find_runs(["zoo:era"])
    shutil.copytree(zoo.ZOO / "era4", tmp_path / "era4")
    monkeypatch.setattr(zoo, "ZOO", tmp_path)
    file = tmp_path / "era4" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be used: its SHA-256 is not that of card\.json"):
        load_run(tmp_path / "era4")
