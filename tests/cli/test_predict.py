"""``mnist-lite predict`` and ``mnist-lite export``: what they print, and their errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.conftest import RunCommand


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A picture of the digit 1."""
    picture = Image.new("RGB", (200, 120), "white")
    ImageDraw.Draw(picture).line((90, 20, 84, 100), fill="navy", width=9)
    picture.save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_the_text_has_the_digit_and_the_image_of_the_network(call: RunCommand, one: Path):
    result = call("predict", "zoo:era4", "one.png", "one.png")
    assert (result.returncode, result.stderr) == (0, "")
    first, *drawn = result.stdout.splitlines()[:15]
    assert first.startswith("one.png: 1 (")
    assert all(len(line) == 32 for line in drawn) and sum(line.count("█") for line in drawn) >= 10


def test_the_json_has_the_probabilities_and_the_image(call: RunCommand, one: Path):
    answers = json.loads(call("predict", "zoo:era4", "one.png", "format=json").stdout)
    assert [(answer["run"], answer["file"], answer["prediction"]) for answer in answers] == [("zoo:era4", "one.png", 1)]
    assert sum(answers[0]["probabilities"]) == pytest.approx(1) and np.argmax(answers[0]["probabilities"]) == 1
    assert np.array(answers[0]["image"]).shape == (28, 28) and np.max(answers[0]["image"]) == 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("zoo:era4",), "predict: expected a run"),
        (("zoo:era4", "no.png"), "no.png: No such file"),
        (("zoo:era4", "-", "-"), "standard input has one picture only"),
        (("zoo:no", "one.png"), "zoo:no: there are no such weights"),
        (("zoo:era4", "one.png", "format=xml"), "'xml' is not allowed"),
    ],
)
def test_errors_are_one_line_and_nothing_is_printed(arguments, message, call: RunCommand, one: Path):
    result = call("predict", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_a_bad_picture_does_not_hide_the_answers_for_the_others(call: RunCommand, one: Path):
    Image.new("L", (50, 50), 255).save(one.with_name("blank.png"))
    result = call("predict", "zoo:era4", "blank.png", "one.png", "no.png", "format=json")
    assert result.returncode == 2
    assert [(answer["file"], answer["prediction"]) for answer in json.loads(result.stdout)] == [("one.png", 1)]
    assert result.stderr.splitlines() == [
        "error: blank.png: no digit is found: nothing stands out from the paper",
        "error: no.png: No such file or directory",
    ]


def test_export_writes_into_the_current_folder(call: RunCommand, tmp_path: Path, mnist_root: Path, monkeypatch):
    monkeypatch.setenv("MNIST_LITE_DATA", str(mnist_root))
    result = call("export", "zoo:era4", "format=safetensors")
    assert result.returncode == 0, result.stderr
    assert (
        "checked on MNIST's 10,000 test images: the same predictions; largest difference of a logit: 0.0e+00"
        in result.stdout
    )
    assert (tmp_path / "era4.safetensors").stat().st_size > 30_000


def test_one_output_for_two_runs_is_an_error(call: RunCommand, tmp_path: Path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    result = call("export", "a", "b", "output=x.onnx")
    assert result.returncode == 2 and "one file cannot hold 2 networks" in result.stderr


def test_summary_takes_a_trained_network(call: RunCommand):
    trained, config = call("summary", "zoo:era4"), call("summary", "model=era4")
    assert trained.returncode == 0, trained.stderr
    title, _, *table = trained.stdout.splitlines()
    assert title == "zoo:era4" and "7,838 parameters" in table[-1]
    assert table == config.stdout.splitlines()[: len(table)]
    assert call("summary", "zoo:no").returncode == 2
