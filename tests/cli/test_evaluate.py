"""``mnist-lite evaluate``: what it prints and writes for one run, for several runs, and with a budget."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch

from mnist_lite.data.digits import load_digits
from mnist_lite.insight.saved_run import load_run
from tests.conftest import Compose, RunCommand, write_file
from tests.insight.test_saved_run import trained

PICTURES = {"confusion", "reliability", "mistakes", "class_maps", "filters", "feature_maps"}


@pytest.fixture
def run(composed: Compose, tmp_path: Path) -> Path:
    """The folder of a short run on the digits."""
    return trained(composed, tmp_path / "runs")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_run_has_all_figures_and_pictures(
    run: Path, call: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    before = content(run)
    result = call("evaluate", "latest")
    assert (result.returncode, result.stderr) == (0, "")
    assert content(run) == before
    folder = tmp_path / "evaluation" / run.name
    assert {path.stem for path in folder.glob("*.png")} == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))
    figures = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))

    train, test = load_digits()
    saved = load_run(run)
    with torch.inference_mode():
        predicted = saved.classifier()(test.images).argmax(1)
    accuracy = 100 * float((predicted == test.labels).double().mean())
    assert (figures["images"], figures["data"]) == (360, "digits")
    assert figures["accuracy"] == pytest.approx(accuracy)
    assert sum(map(sum, figures["confusion"])) == 360
    assert len(figures["mistakes"]) == int((predicted != test.labels).sum())
    assert figures["train"]["images"] == 120, "only the images that the run was trained on"
    assert figures["train_minus_test"] == pytest.approx(figures["train"]["accuracy"] - accuracy)
    used = torch.cat([(train.labels == digit).nonzero().flatten()[:12] for digit in range(10)])
    with torch.inference_mode():
        right = saved.classifier()(train.images[used]).argmax(1) == train.labels[used]
    assert figures["train"]["accuracy"] == pytest.approx(100 * float(right.double().mean()))

    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "measured on 360 test images of digits (NOT MNIST)" in lines
    assert f"accuracy          {accuracy:.2f} %" in result.stdout
    matrix = lines[next(i for i, line in enumerate(lines) if line.startswith("true  as 0")) + 2 :][:10]
    cells = [[0 if cell == "." else int(cell) for cell in line.split()[1:]] for line in matrix]
    assert cells == figures["confusion"]


def test_several_runs_have_one_line_each(run: Path, composed: Compose, call: RunCommand, tmp_path: Path):
    trained(composed, tmp_path / "more", "seed=1")
    Path(tmp_path / "broken").mkdir()
    write_file(tmp_path / "broken" / "config.yaml", "")
    (tmp_path / "more" / "empty").mkdir()
    result = call("evaluate", str(run), "more/*", "broken", "output=figures")
    assert result.returncode == 1
    empty, *others = result.stderr.splitlines()
    assert re.match(r"warning: not evaluated: (\S+/)?empty: .* is not the folder of a run", empty)
    # Two runs of the same second have the same name. Then the names have the folder before, too.
    assert len(others) == 1 and re.match(r"warning: not evaluated: (\S+/)?broken: .*last\.pt is missing", others[0])
    rows = list(csv.DictReader((tmp_path / "figures" / "evaluation.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 and [row["test_images"] for row in rows] == ["360", "360"]
    assert all(f"{float(row['accuracy']):.2f}" in result.stdout for row in rows)
    assert len(result.stdout.splitlines()) == 2 + 2 + 2, "heads, runs, the test images, the file"


def test_a_budget_gives_a_table_a_file_and_an_exit_code(run: Path, call: RunCommand, tmp_path: Path):
    (tmp_path / "runs" / "empty").mkdir()
    write_file(tmp_path / "low.yaml", "{accuracy: 5, accuracy_on: any}")
    result = call("evaluate", str(run), "budget=low.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    assert "1 of 1 pass: >= 5 % test accuracy in the last epoch" in result.stdout
    assert "Training on test images cannot be detected" in result.stdout
    result = call("evaluate", "runs/*", "budget=low.yaml", "output=grades")
    assert result.returncode == 1
    rows = list(csv.DictReader((tmp_path / "grades" / "grades.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["run"], row["grade"]) for row in rows] == [(run.name, "pass"), ("empty", "no grade")]
    result = call("evaluate", str(run), "budget={parameters: 10, accuracy: 99, accuracy_on: any, epochs: 3}")
    assert result.returncode == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(run.name)]
    assert "fail" in line and "parameters, epochs, accuracy" in line


WRONG = {
    "image=x": "image: 'x' is not allowed",
    "image=360": "image: 360 is not in 0 to 359",
    "output=runs/{run}/pictures": "is inside the run folder",
    "budget=none.yaml": "there is no such file",
    "latst": "latst: no run folder",
}


def test_a_wrong_argument_is_one_line(run: Path, call: RunCommand, tmp_path: Path):
    before = content(run)
    for argument, message in WRONG.items():
        result = call("evaluate", str(run), argument.format(run=run.name))
        assert result.returncode == 2, argument
        assert message in result.stderr and result.stderr.count("\n") == 1, argument
    assert content(run) == before
    (run / "last.pt").unlink()
    assert call("evaluate", str(run)).returncode == 2
    assert not (tmp_path / "evaluation").exists(), "an error leaves no folder"
