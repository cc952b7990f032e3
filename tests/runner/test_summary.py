"""``summary.json`` is written and read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnist_lite.model.budget import RunResults
from mnist_lite.runner.summary import SUMMARY, as_json, headline, read_summary, result_lines
from tests.sweeps.fake_sweep import write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path, "run", [98.0, 99.0], holdout=97.5)
    return tmp_path / "run"


def test_what_was_written_is_read(folder: Path):
    summary = read_summary(folder)
    assert summary is not None
    assert as_json(summary) == (folder / SUMMARY).read_bytes()
    assert json.loads(as_json(summary))["accuracy"]["holdout"]["final"] == 97.5


def test_a_budget_can_be_judged_again_from_a_summary(folder: Path):
    summary = read_summary(folder)
    assert summary is not None
    assert summary.reached == RunResults(100, False, 2, [98.0, 99.0], "mnist", 10_000)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-10],
        lambda _text: "",
        lambda _text: "[]",
        lambda text: text.replace('"seed": 0', '"seed": "x"'),
        lambda text: text.replace('"parameters"', '"something"'),
        lambda text: text.replace('"resumes": []', '"resumes": [], "more": ' + "[" * 100_000),
    ],
    ids=["cut", "empty", "a list", "wrong type", "key missing", "deep"],
)
def test_a_damaged_summary_is_none(damage, folder: Path):
    text = (folder / SUMMARY).read_text()
    assert damage(text) != text
    (folder / SUMMARY).write_text(damage(text))
    assert read_summary(folder) is None


def test_a_run_without_a_summary_is_not_write_run(tmp_path: Path):
    assert read_summary(tmp_path) is None
    (tmp_path / SUMMARY).write_bytes(b"\xff\xfe")
    assert read_summary(tmp_path) is None


def test_the_last_lines_name_the_images_and_how_an_epoch_was_chosen(folder: Path):
    summary = read_summary(folder)
    assert summary is not None
    text = "\n".join(result_lines(summary))
    assert "final test accuracy 99.00 % on MNIST's 10,000 test images, 100 parameters" in text
    assert "best epoch on test 99.00 % (epoch 2, chosen on the test images)" in text
    assert "of epoch 1, the best on the held-out images: 98.00 %" in text and "mean of the last" not in text
    assert "99.00 % on MNIST's 10,000 test images" in headline(summary)
