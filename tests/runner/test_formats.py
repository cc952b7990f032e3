"""Run folders of old formats can be read. A resume refuses them."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from mnist_lite.errors import UserError
from mnist_lite.runner import checkpoint
from mnist_lite.runner.folder import RunFolder
from mnist_lite.runner.metrics import accuracies, seconds
from mnist_lite.runner.metrics_file import parse_row, read_evaluations
from mnist_lite.runner.run_format import FORMAT
from mnist_lite.runner.summary import read_summary
from mnist_lite.train import main

FORMATS = Path(__file__).parent / "formats"
OLD = [str(number) for number in range(1, FORMAT)]


def test_every_old_format_has_a_folder():
    assert sorted(path.name for path in FORMATS.iterdir() if path.is_dir()) == OLD


@pytest.mark.parametrize("number", OLD)
def test_metrics_of_an_old_format_are_read(number: str):
    lines = (FORMATS / number / "metrics.jsonl").read_bytes().splitlines()
    rows = [parse_row(line) for line in lines]
    assert [row["step"] for row in rows if "train/loss" in row] == list(range(1, 11))
    evaluations = read_evaluations(FORMATS / number)
    assert evaluations == [row for row in rows if "test/loss" in row]
    assert [row["step"] for row in evaluations] == [3, 5, 6, 9, 10]


@pytest.mark.parametrize("number", OLD)
def test_the_summary_of_an_old_format_is_read(number: str):
    summary = read_summary(FORMATS / number)
    assert summary is not None and summary.format == int(number)
    assert (summary.name, summary.model, summary.parameters, summary.seed) == (f"format_{number}", "era4", 7838, 0)
    assert (summary.epochs, summary.steps, summary.threads, summary.precision) == (2, 10, 1, "fp32")
    assert summary.data["name"] == "digits" and (summary.data["train"], summary.data["holdout"]) == (100, 50)
    assert (summary.accuracy.test.final, summary.accuracy.test.by_epoch) == (24.0, [12.0, 24.0])
    evaluations = read_evaluations(FORMATS / number)
    assert (summary.accuracy, summary.seconds) == (accuracies(evaluations), seconds(evaluations))
    assert summary.reached.test_images == 50 and summary.budget["met"] is None


@pytest.mark.parametrize("number", OLD)
def test_a_resume_of_an_old_format_is_one_line_that_names_both(
    number: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(FORMATS / number, tmp_path / "old")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", "resume=old", "epochs=5"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert re.fullmatch(
        rf"error: resume: old/config.yaml has format {number}, and mnist-lite {re.escape(version('mnist-lite'))} "
        rf"resumes format {FORMAT} only; .*\n",
        error,
    )
    assert {path.name for path in (tmp_path / "old").iterdir()} == {path.name for path in (FORMATS / number).iterdir()}


def test_a_checkpoint_of_an_old_format_is_refused(tmp_path: Path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"format": FORMAT}))
    (tmp_path / "last.pt").write_bytes(checkpoint.pack({"version": 2, "epoch": 1}))
    folder = RunFolder.open_existing(tmp_path)
    with pytest.raises(UserError, match=r"last\.pt has format 1"):
        folder.find_checkpoint()
    folder.close()
