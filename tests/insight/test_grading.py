"""Grades come from the weights, and a claim is marked as a claim."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
import torch

from mnist_lite.errors import UserError
from mnist_lite.insight import grading
from mnist_lite.insight.evaluate_runs import short_names
from mnist_lite.insight.grading import Grade, as_csv, as_text, grade_run, judge, read_budget
from mnist_lite.insight.locate import find_submissions
from mnist_lite.model.budget import RunResults
from mnist_lite.runner import checkpoint
from tests.conftest import Compose, write_file
from tests.insight.test_saved_run import trained

ANY = "accuracy_on: any"


def test_requirements_are_judged_by_what_was_measured_and_what_is_claimed():
    budget = read_budget("{parameters: 8000, epochs: 15, accuracy: 99.4, last_epochs: 3, fully_connected: false}")
    checks = {
        check.key: check
        for check in judge(budget, RunResults(7838, False, 15, [99.0, 99.41, 99.39, 99.5], "mnist", 10_000))
    }
    assert {key: check.met for key, check in checks.items()} == {
        "parameters": True,
        "epochs": True,
        "fully_connected": True,
        "accuracy": True,
        "earlier epochs": False,
    }
    assert [key for key, check in checks.items() if check.note == "claimed"] == ["epochs", "earlier epochs"]
    assert (checks["accuracy"].value, checks["earlier epochs"].value) == ("99.50", "99.41, 99.39")
    short = judge(budget, RunResults(7838, False, 2, [99.5, 99.5], "mnist", 10_000))
    assert [check.met for check in short][-1] is False, "one earlier epoch is not two"
    lost = judge(budget, RunResults(7838, False, 3, [99.5, None, 99.5], "mnist", 10_000))
    assert [check.met for check in lost][-1] is False


def test_a_budget_is_read_from_a_text_or_from_a_file(tmp_path: Path):
    inline = read_budget("{parameters: 8000, accuracy: 99.4}")
    assert (inline.parameters, inline.accuracy, inline.last_epochs, inline.epochs) == (8000, 99.4, 1, None)
    assert read_budget(str(write_file(tmp_path / "a.yaml", "parameters: 8000\naccuracy: 99.4\n"))) == inline
    model = write_file(tmp_path / "m.yaml", "layers: [relu]\nbudget: {parameters: 8000, accuracy: 99.4}\n")
    assert read_budget(str(model)) == inline


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{parameter: 8000}", "budget.parameter: unknown key; did you mean parameters"),
        ("{parameters: many}", "budget.parameters"),
        ("{accuracy: 101}", "budget.accuracy: 101.0 is out of range"),
        ("{}", "it has no limit"),
        ("{last_epochs: 2}", "it has no limit"),
        ("{parameters: [", "this is not YAML"),
        ("none.yaml", "none.yaml: there is no such file"),
    ],
)
def test_a_wrong_budget_is_one_line(text: str, message: str):
    with pytest.raises(UserError) as caught:
        read_budget(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_claims_more_than_its_weights_gets_what_its_weights_are_worth(composed: Compose, tmp_path: Path):
    honest = trained(composed, tmp_path / "honest")
    liar = tmp_path / "liar"
    shutil.copytree(honest, liar)
    for name, pattern in (
        ("metrics.jsonl", r'("test/accuracy": )[\d.]+'),
        ("summary.json", r'("final": )[\d.]+'),
        ("summary.json", r'("parameters": )\d+'),
    ):
        path = liar / name
        path.write_text(re.sub(pattern, r"\g<1>99", path.read_text(encoding="utf-8")), encoding="utf-8")
    budget = read_budget(f"{{accuracy: 95, parameters: 100, {ANY}}}")
    first, second = grade_run(honest, "a", budget), grade_run(liar, "b", budget)
    assert second.accuracy == first.accuracy and first.accuracy is not None and first.accuracy < 95
    assert second.parameters == first.parameters and second.parameters is not None and second.parameters > 100
    assert not second.passes and second.missed == ["parameters", "accuracy"]
    assert second.doubt == "the folder says 99.00 on 50 test images of digits (NOT MNIST)"
    assert (first.test_images, first.epochs) == (360, 4)


def test_an_interrupted_epoch_is_named_and_nothing_is_claimed_of_it(composed: Compose, tmp_path: Path):
    folder = trained(composed, tmp_path)
    (folder / "summary.json").unlink()
    state = checkpoint.load(folder / "last.pt")
    assert state["step"] == 20 and state["epoch"] == 4
    state["step"] = 18  # as if a signal had come in the middle of the last epoch
    (folder / "last.pt").write_bytes(checkpoint.pack(state))
    rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    rows[-1] = re.sub(r'("test/accuracy": )[\d.]+', r"\g<1>99", rows[-1])
    (folder / "metrics.jsonl").write_text("".join(rows), encoding="utf-8")
    found = grade_run(folder, "a", read_budget(f"{{accuracy: 5, {ANY}}}"))
    assert found.interrupted == "interrupted: weights after step 18, in epoch 4" and found.doubt == ""
    assert "interrupted: weights after step 18" in as_text([found], read_budget("{accuracy: 5}"), None)


def test_a_run_on_digits_is_graded_on_mnist(composed: Compose, tmp_path: Path, mnist_root: Path):
    folder = trained(composed, tmp_path)
    found = grade_run(folder, "a", read_budget("{accuracy: 5}"), str(mnist_root))
    assert found.test_images == 10_000 and found.passes
    # The folder's accuracy is that of other images, so a difference is no sign of a false claim.
    assert re.fullmatch(r"the folder says [\d.]+ on 50 test images of digits \(NOT MNIST\)", found.doubt), found.doubt
    accuracy = grade_run(folder, "a", read_budget(f"{{accuracy: 5, {ANY}}}")).accuracy
    assert accuracy is not None and found.accuracy is not None and found.accuracy != accuracy


def test_a_damaged_or_dishonest_file_is_no_grade_and_does_not_stop_the_others(composed: Compose, tmp_path: Path):
    folder, budget = trained(composed, tmp_path), read_budget(f"{{accuracy: 5, {ANY}}}")
    state = checkpoint.read(folder / "last.pt")
    last = folder / "last.pt"
    last.write_bytes(last.read_bytes()[:-9])
    assert "checksum" in grade_run(folder, "a", budget).problem
    weights = next(name for name, value in state["model"].items() if value.ndim == 4)
    last.write_bytes(checkpoint.pack({**state, "model": {**state["model"], weights: torch.zeros(3)}}))
    assert "do not fit" in grade_run(folder, "a", budget).problem
    nan = {name: value * float("nan") for name, value in state["model"].items() if value.is_floating_point()}
    last.write_bytes(checkpoint.pack({**state, "model": {**state["model"], **nan}}))
    assert "not finite" in grade_run(folder, "a", budget).problem
    huge = {"layers": [{"conv": 500_000, "kernel": 1}, "global_avg_pool", {"conv": 10, "kernel": 1}]}
    large = {"0.weight": torch.zeros(500_000, 1, 1, 1), "2.weight": torch.zeros(10, 500_000, 1, 1)}
    last.write_bytes(checkpoint.pack({**state, "config": {"model": huge}, "model": large, "ema": None}))
    assert "too large to evaluate" in grade_run(folder, "a", budget).problem


def test_every_folder_of_a_pattern_has_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_file(Path("students/ada/config.yaml"), "")
    write_file(Path("students/cy/run/config.yaml"), "")
    Path("students/ben").mkdir()
    write_file(Path("students/readme.txt"), "")
    found = find_submissions(["students/*", "students/none"])
    assert {str(path): bool(problem) for path, problem in found.items()} == {
        "students/ada": False,
        "students/ben": True,
        "students/cy": True,
        "students/none": True,
    }
    with pytest.raises(UserError, match="none"):
        find_submissions(["students/none"])


def test_names_are_as_short_as_they_can_be():
    assert short_names([Path("runs/a"), Path("runs/b")]) == ["a", "b"]
    assert short_names([Path("x/ada/run"), Path("x/ben/run"), Path("x/ben/other")]) == [
        "ada/run",
        "ben/run",
        "ben/other",
    ]


def test_a_spreadsheet_takes_no_name_for_a_formula():
    grades = [Grade("=HYPERLINK(1)", "no run"), Grade("@b", parameters=5, accuracy=99.5, claimed=(99.0,))]
    rows = list(csv.DictReader(as_csv(grades).decode().splitlines()))
    assert [row["run"] for row in rows] == ["'=HYPERLINK(1)", "'@b"]
    assert [row["grade"] for row in rows] == ["no grade", "pass"]
    assert [row["accuracy"] for row in rows] == ["", "99.5"]
    assert rows[1]["notes"] == "the folder says 99.00" and grading.TOLERANCE < 0.5
