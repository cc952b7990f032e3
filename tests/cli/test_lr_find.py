"""``mnist-lite lr_find``: what it prints and writes."""

from __future__ import annotations

import json

import pytest
from matplotlib.image import imread

from tests.conftest import QUICK, RunCommand

ARGUMENTS = (*QUICK, "model=era4", "optimizer=sgd", "steps=50", "lr_min=1e-4", "lr_max=1", "threads=1")


def test_it_prints_three_suggestions_and_writes_two_files(call: RunCommand, tmp_path):
    result = call("lr_find", *ARGUMENTS, "output=pictures", "name=mine")
    assert result.returncode == 0, result.stderr
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "pictures",
        "pictures/lr_find_mine.json",
        "pictures/lr_find_mine.png",
    ]
    record = json.loads((tmp_path / "pictures" / "lr_find_mine.json").read_text(encoding="utf-8"))
    for name in ("steepest", "minimum_over_10", "valley"):
        assert f" {record[name]:g}  " in result.stdout
    assert f"is {record['disagreement']:.1f} times the least" in result.stdout
    assert len(record["rates"]) == len(record["losses"]) == len(record["smoothed"]) + record["burn_in"] <= 50
    assert (record["data"], record["training_images"], record["parameters"]) == ("digits", 100, 7838)
    assert "mine, 7,838 parameters: range test on the 100 training images of digits, seed 0" in result.stdout
    assert imread(tmp_path / "pictures" / "lr_find_mine.png").std() > 0.1


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("lr_min=2", "lr_max: 1 is out of range; expected more than lr_min, which is 2"),
        ("steps=3", "steps: 3 is out of range; expected >= 50"),
        ("lr_min=0", "lr_min: 0.0 is out of range; expected > 0"),
        ("output=file", "output: file is not a folder"),
    ],
)
def test_bad_arguments_are_one_line(argument, error, call: RunCommand, tmp_path):
    (tmp_path / "file").write_text("")
    result = call("lr_find", *ARGUMENTS, argument)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {error}") and result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_suggestion_leaves_no_file(call: RunCommand, tmp_path):
    result = call("lr_find", *ARGUMENTS, "lr_min=1e-9", "lr_max=1e-8")
    assert result.returncode == 1 and "the loss did not fall" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_both_spellings_are_the_command():
    from mnist_lite.cli.dispatch import command_name

    assert command_name(["lr-find"]) == command_name(["lr_find"]) == "lr_find"
