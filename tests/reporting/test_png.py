"""Pictures: drawn with matplotlib's own defaults and literal text, and never a reason to lose a run."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mnist_lite.reporting import curves, png
from mnist_lite.reporting.png import DrawingError
from mnist_lite.runner import run
from tests.conftest import Compose, RunCommand

FEW = ("data=digits", "data.train_limit=200", "data.test_limit=100", "epochs=2", "batch_size=50", "model=era4")


def titled(title: str) -> bytes:
    def make() -> Figure:
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot([1, 10], [1, 100], label=title)
        axes.set(title=title, xlabel=title, yscale="log")
        axes.legend()
        figure.supylabel(title)
        return figure

    return png.draw(make)


@pytest.mark.parametrize("title", ["a$x_$b", "$", "$$", "\\\\", "a_b^c%", "x" * 500, "\u6570\u5b57"])
def test_any_text_is_drawn(title: str, recwarn: pytest.WarningsRecorder):
    assert imread(io.BytesIO(titled(title))).shape[0] > 100
    assert not list(recwarn)


def test_text_is_literal():
    """As a formula both would be an x with a raised 2, without dollar signs."""
    assert titled("$x^2$") != titled("x^2")
    assert titled("$x$$") != titled("x")


def test_settings_of_the_user_do_not_apply(monkeypatch: pytest.MonkeyPatch):
    expected = titled("title")
    settings = {"text.usetex": True, "font.size": 40.0, "axes.facecolor": "black", "savefig.dpi": 10.0}
    for key, value in settings.items():
        monkeypatch.setitem(matplotlib.rcParams, key, value)  # type: ignore[misc]
    assert np.array_equal(imread(io.BytesIO(titled("title"))), imread(io.BytesIO(expected)))
    assert matplotlib.rcParams["font.size"] == 40  # they are as they were


@pytest.mark.parametrize("name", ["a$x_$b", "plain"])
def test_a_run_ends_well_whatever_its_name_and_the_users_matplotlibrc(
    name: str, run_command: RunCommand, tmp_path: Path
):
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\nfont.family: no such font\n")
    env = {"MATPLOTLIBRC": str(settings), "PATH": os.environ["PATH"]}
    done = run_command("train", *FEW, f"name='{name}'", env=env)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "summary.json").read_text())["name"] == name
    assert (folder / "curves.png").is_file() and done.stderr == ""


@pytest.mark.parametrize("words", [(), ("-m", "seed=1,2", "sweep.dir=runs")])
def test_a_matplotlibrc_that_cannot_be_read_costs_the_picture_only(words, run_command: RunCommand, tmp_path: Path):
    settings = tmp_path / "matplotlibrc"
    settings.write_bytes(b"font.family: \xff\xfe\n")
    done = run_command("train", *words, *FEW, env={"MATPLOTLIBRC": str(settings)})
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "not drawn: UnicodeDecodeError" in done.stderr
    assert len(list((tmp_path / "runs").glob("*/summary.json"))) == (2 if words else 1)


def test_a_picture_that_cannot_be_drawn_is_a_warning(composed: Compose, tmp_path, monkeypatch, capsys):
    def broken(*_args: object) -> Figure:
        raise ZeroDivisionError("made for the test")

    config = composed(*FEW, f"runs_dir={tmp_path}")
    with monkeypatch.context() as patched:
        patched.setattr(curves, "_figure", broken)
        assert run.run(config) == 0
    (folder,) = tmp_path.iterdir()
    said = capsys.readouterr()
    assert "The curves were not drawn: ZeroDivisionError: made for the test" in said.err
    assert "final test accuracy" in said.out
    assert "Traceback" in (folder / "run.log").read_text()
    assert (folder / "summary.json").is_file() and not (folder / "curves.png").exists()
    # a resume draws it, and trains nothing
    rows = (folder / "metrics.jsonl").read_bytes()
    config.resume = str(folder)
    assert run.run(config) == 0
    assert (folder / "curves.png").is_file() and (folder / "metrics.jsonl").read_bytes() == rows
    assert "epoch 1/" not in capsys.readouterr().out


def test_errors_of_matplotlib_are_one_line():
    def broken() -> Figure:
        raise ValueError("one\ntwo")

    with pytest.raises(DrawingError, match=r"^ValueError: one two$"):
        png.draw(broken)
