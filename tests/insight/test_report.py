"""The data of a report: against the files of the runs, and what happens where something is missing."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mnist_lite.data.digits import load_digits
from mnist_lite.data.split import Split
from mnist_lite.errors import UserError
from mnist_lite.insight import comparison_text, report, report_images, report_runs, zoo
from mnist_lite.insight.comparison import compare_runs
from mnist_lite.insight.evaluation import evaluate
from mnist_lite.insight.report_images import RunAnswers, chosen_images
from mnist_lite.reporting.html_page import render
from tests.insight.networks import random_run


def collect(folders: list[Path]) -> dict[str, Any]:
    return report.collect(compare_runs(folders, "report"))


@pytest.fixture
def folder(small_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run, tmp_path / small_run.name))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_curves_have_all_rows_with_their_epoch_and_their_seconds(folder: Path):
    (curve,) = collect([folder])["curves"]
    rows = rows_of(folder)
    steps, evaluations = ([row for row in rows if key in row] for key in ("train/loss", "test/loss"))
    assert curve["steps"]["step"] == [row["step"] for row in steps]
    assert curve["steps"]["train/loss"] == pytest.approx([row["train/loss"] for row in steps], rel=1e-5)
    per_epoch = evaluations[0]["step"]
    assert curve["steps"]["epoch"] == pytest.approx([row["step"] / per_epoch for row in steps], rel=1e-5)
    seconds = np.cumsum([row["seconds/train"] for row in evaluations])
    assert curve["evaluations"]["seconds"] == pytest.approx(seconds, rel=1e-5)
    between = np.interp([row["step"] for row in steps], [0, *(row["step"] for row in evaluations)], [0, *seconds])
    assert curve["steps"]["seconds"] == pytest.approx(between, rel=1e-5)


def test_long_curves_are_means_of_neighbouring_steps(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report_runs, "MAX_POINTS", 6)
    monkeypatch.setattr(report_runs, "MIN_POINTS", 1)
    data = collect([folder])
    losses = [row["train/loss"] for row in rows_of(folder) if "train/loss" in row]
    size = -(-len(losses) // 6)
    expected = [np.mean(losses[start : start + size]) for start in range(0, len(losses), size)]
    assert data["curves"][0]["steps"]["train/loss"] == pytest.approx(expected, rel=1e-5)
    assert any(
        line.startswith("Most training steps: each curve of the training steps has at most 6")
        for line in data["left_out"]
    )


def test_images_are_the_mistakes_worst_first_and_then_500_others():
    split, run = load_digits()[0], random_run([{"conv": 10, "kernel": 9}, "relu", "global_avg_pool"])
    logits = torch.nn.functional.one_hot(split.labels, 10) * 5.0
    logits[3], logits[8] = logits[3].roll(1), 3 * logits[8].roll(1)  # image 8 is the worse mistake
    chosen = chosen_images([RunAnswers(run, 0, logits, evaluate(logits, split.labels))], split)
    assert chosen[:2] == [8, 3] and len(chosen) == len(set(chosen)) == 502
    assert split.labels[chosen[2:]].bincount().tolist() == [50] * 10


def test_mistakes_of_several_runs_take_turns_and_are_limited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report_images, "MAX_MISTAKES", 5)
    labels = torch.arange(10).repeat(4)
    split, run = (
        Split(torch.zeros(40, 1, 28, 28, dtype=torch.uint8), labels),
        random_run([{"conv": 10, "kernel": 9}, "global_avg_pool"]),
    )
    tested = []
    for wrong in ([0, 1, 2, 3], [2, 10, 11]):
        logits = torch.nn.functional.one_hot(labels, 10) * 5.0
        logits[wrong] = (
            logits[wrong].roll(1, 1) * torch.linspace(2, 1, len(wrong))[:, None]
        )  # the first has the highest loss
        tested.append(RunAnswers(run, 0, logits, evaluate(logits, labels)))
    chosen = chosen_images(tested, split)
    assert chosen[:5] == [0, 2, 1, 10, 11]  # image 2 is a mistake of both
    assert chosen[5:] == [i for i in range(40) if i not in chosen[:5]]  # image 3 is a mistake, too


def test_the_record_of_a_run_holds_pixels_answers_and_maps(folder: Path):
    data = collect([folder])
    images, (tested,) = data["images"], data["tested"]
    test = load_digits()[1]
    pixels = np.frombuffer(b64decode(images["pixels"]), np.uint8).reshape(-1, 1, 28, 28)
    assert (pixels == test.images[images["index"]].numpy()).all()
    assert images["labels"] == test.labels[images["index"]].tolist()
    assert tested["mistakes_in_all"] == len(test) - int(np.trace(np.array(tested["confusion"])))
    assert images["predictions"] == tested["predictions"] and len(tested["predictions"]) == images["count"]
    count = min(report_images.MAX_MAPS, len(tested["mistakes"]))
    assert len(b64decode(tested["maps"]["values"])) == count * 2 * tested["maps"]["height"] * tested["maps"]["width"]


def test_a_run_without_weights_has_its_curves_and_the_reason(folder: Path):
    for name in ("last.pt", "previous.pt", "best.pt"):
        (folder / name).unlink(missing_ok=True)
    data = collect([folder])
    assert data["curves"] and data["runs"][0]["layers"] and data["runs"][0]["commands"][0]["command"]
    assert (data["tested"], data["images"], data["network"]) == ([], None, None)
    assert sum("has no weights" in line for line in data["left_out"]) == 2
    assert b"report-data" in render(data)


def test_shipped_weights_without_mnist_still_have_a_canvas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None
):
    monkeypatch.setenv("MNIST_LITE_DATA", str(tmp_path))
    data = collect([zoo.ZOO / "era4"])
    assert data["network"]["parameters"] == 7838 and data["images"] is None
    assert any(line.startswith("Confusion matrix, mistakes and calibration of era4") for line in data["left_out"])
    (reason,) = [each["reason"] for each in data["untested"]]
    assert reason.startswith(f"no usable MNIST in {tmp_path} (train-images-idx3-ubyte.gz is missing")
    assert "set MNIST_LITE_DATA" in reason and "data.root" not in reason
    assert len(render(data)) < 500_000


def test_the_page_of_shipped_weights_is_small_and_complete(mnist_root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MNIST_LITE_DATA", str(mnist_root))
    data = collect([zoo.ZOO / "era4"])
    (tested,), card = data["tested"], zoo.read_card(zoo.ZOO / "era4")
    assert tested["accuracy"] == pytest.approx(card.figures[0].percent) and tested["images"] == 10_000
    assert data["images"]["count"] == 500 + tested["mistakes_in_all"]
    assert data["runs"][0]["commands"][0]["command"] == "mnist-lite train experiment=era4 threads=1 seed=0"
    assert len(render(data)) < 3_000_000


def test_curves_that_cannot_be_read_are_left_out(folder: Path):
    (folder / "metrics.jsonl").write_text("no JSON\n", encoding="utf-8")
    data = collect([folder])
    assert data["curves"] == [] and any(line.startswith("The curves of ") for line in data["left_out"])


def test_layers_that_cannot_be_built_are_left_out(folder: Path):
    path = folder / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("- batch_norm\n", "- nonsense\n"), encoding="utf-8")
    data = collect([folder])
    assert data["runs"][0]["layers"] is None and data["runs"][0]["commands"][0]["command"] is None


def test_a_page_has_the_best_groups(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparison_text, "MAX_GROUPS", 3)
    monkeypatch.setattr(report, "MAX_GROUPS", 3)
    text, summary = ((folder / name).read_text(encoding="utf-8") for name in ("config.yaml", "summary.json"))
    folders = []
    for i, accuracy in enumerate((50.0, 90.0, 40.0, 80.0, 70.0)):
        copy = tmp_path / f"copy{i}"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.pt"))
        (copy / "config.yaml").write_text(text.replace("batch_size: 25", f"batch_size: {26 + i}"), encoding="utf-8")
        record = json.loads(summary)
        record["accuracy"]["test"]["final"] = accuracy
        (copy / "summary.json").write_text(json.dumps(record), encoding="utf-8")
        folders.append(copy)
    data = collect(folders)
    assert [run["final"] for run in data["runs"]] == [90.0, 80.0, 70.0]
    assert data["left_out"][0] == "Groups of runs: the page has the 3 best of 5."
    assert dict(data["differences"])["batch_size"] == ["27", "29", "30"]


def test_an_unfinished_run_is_one_line(folder: Path):
    (folder / "summary.json").unlink()
    with pytest.raises(UserError, match=r"^report: no run can be used: .* is left out: it is not finished$"):
        collect([folder])


def test_a_damaged_summary_is_named(folder: Path):
    (folder / "summary.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"is left out: summary\.json cannot be read \(Input data was truncated\)$"):
        collect([folder])


def test_runs_that_are_not_shown_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    unfinished, damaged = (Path(shutil.copytree(folder, tmp_path / name)) for name in ("unfinished", "damaged"))
    (unfinished / "summary.json").unlink()
    (damaged / "summary.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    report.write_report([str(unfinished), str(damaged), str(folder)], "page.html")
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"warning: {unfinished} is left out: it is not finished"
    assert second.startswith(f"warning: {damaged} is left out: summary.json cannot be read (Object missing required")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{unfinished} is left out: it is not finished." in page and f"{damaged} is left out" in page


def test_only_runs_on_the_same_images_are_compared(folder: Path, tmp_path: Path):
    folders = list[Path]()
    for name, test, final in (("a", 50, 80.0), ("b", 50, 90.0), ("other", 40, 99.0)):
        copy = Path(shutil.copytree(folder, tmp_path / name))
        record = json.loads((copy / "summary.json").read_text(encoding="utf-8")) | {"name": name}
        record["accuracy"]["test"]["final"], record["data"]["test"] = final, test
        (copy / "summary.json").write_text(json.dumps(record), encoding="utf-8")
        config = (copy / "config.yaml").read_text(encoding="utf-8")
        (copy / "config.yaml").write_text(config.replace("batch_size: 25", f"batch_size: {len(folders) + 26}"))
        folders.append(copy)
    data = collect([folders[2], *folders[:2]])
    assert (data["verdict"]["best"], data["verdict"]["compared"]) == (2, [1, 2])
    assert data["verdict"]["answers"][0].startswith("Is C better than B? No answer yet")
    assert data["verdict"]["answers"][-1] == "Not compared, because measured on other images: A."


def test_a_run_on_other_data_has_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch):
    data = collect([zoo.ZOO / "era4", folder])  # on a tie, the first one decides
    assert data["verdict"]["best"] == 0
    assert "it was trained on digits, and the images of this page are of mnist" in data["untested"][-1]["reason"]


def test_of_many_rows_some_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report_runs, "MAX_ROWS", 5)
    data, rows = collect([folder]), rows_of(folder)
    steps = [row["step"] for row in rows if "train/loss" in row]
    shown = data["curves"][0]["steps"]["step"]
    assert shown == steps[:: 1 + len(steps) // 5] and len(shown) <= 5 < len(steps)
    assert len(data["curves"][0]["evaluations"]["step"]) == 4
    used = 4 + len(shown)
    assert f"Rows of {folder.name}: its curves use {used} of the {len(rows)} rows of metrics.jsonl." in data["left_out"]


@pytest.mark.parametrize(("backend", "threads"), [("kernels", []), ("torch", ["threads=2"])])
def test_the_command_has_the_threads_where_the_result_depends_on_them(backend: str, threads: list[str], folder: Path):
    path = folder / "summary.json"
    record = json.loads(path.read_text(encoding="utf-8")) | {"backend": backend, "device": "cpu", "threads": 2}
    path.write_text(json.dumps(record), encoding="utf-8")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(re.sub("^threads: .*$", "threads: null", config, flags=re.M), encoding="utf-8")
    command = collect([folder])["runs"][0]["commands"][0]["command"]
    assert [word for word in command.split() if word.startswith("threads=")] == threads


def test_titles_are_short(folder: Path, tmp_path: Path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    text = (copy / "config.yaml").read_text(encoding="utf-8")
    (copy / "config.yaml").write_text(text.replace("batch_size: 25", "batch_size: 26"), encoding="utf-8")
    comparison = compare_runs([folder, copy])
    titles = [report.collect(each, sweep)["title"] for each, sweep in ((comparison, True), (comparison, False))]
    assert titles == ["Sweep of step4: batch_size", "2 runs"]
    assert collect([folder])["title"] == "small"
