"""The arithmetic of a sweep's table, against scipy and by hand."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from mnist_lite.errors import UserError
from mnist_lite.sweeps.finalize import finalize
from mnist_lite.sweeps.plots import write_comparisons, write_curves
from mnist_lite.sweeps.table import as_text, failed, groups, read, write
from tests.sweeps.folders import finished


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two rates, three seeds; one job has failed, one was never begun, one is cut, one has no config."""
    plan = []
    for lr, base in (("0.01", 99.0), ("0.1", 90.0)):
        for seed in range(3):
            name = f"run_{lr}_{seed}"
            plan.append({"overrides": ["model=era4", f"optimizer.lr={lr}", f"seed={seed}"], "folder": name})
            if (lr, seed) not in {("0.1", 1), ("0.1", 2)}:
                finished(tmp_path, name, [base - 5, base + seed / 10], seed)
    (tmp_path / "run_0.1_1").mkdir()
    (tmp_path / "run_0.1_1" / "error.txt").write_text("out of memory\n")
    plan.append({"overrides": ["model=era4", "optimizer.lr=-1", "seed=0"], "error": "out of range"})
    (tmp_path / "run_0.1_2").mkdir()
    (tmp_path / "run_0.1_2" / "config.yaml").write_text("seed: 2\n")
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))
    return tmp_path


def test_rows_say_what_became_of_every_job(sweep: Path):
    rows = read(sweep)
    assert [row.status for row in rows] == ["done", "done", "done", "done", "failed", "cut", "failed"]
    assert rows[4].error == "out of memory"
    assert rows[6].error == "out of range"
    assert (rows[1].final, rows[1].best, rows[1].train_final, rows[1].seconds) == (99.1, 99.1, 98.1, 3.0)


def test_groups_are_by_everything_but_the_seed(sweep: Path):
    found = groups(read(sweep))
    assert [len(group.rows) for group in found] == [3, 3, 1]
    assert found[0].estimate is not None and found[0].estimate.mean == pytest.approx(99.1)
    assert found[1].estimate is not None and found[1].estimate.n == 1
    assert found[2].estimate is None


def test_the_text(sweep: Path):
    lines = as_text(read(sweep)).splitlines()
    assert lines[0].split()[0] == "optimizer.lr"  # what all have in common is left out
    assert lines[2].split() == ["0.01", "99.10", "0.100", "3", "98.81", "to", "99.32"]
    assert lines[3].split() == ["0.1", "90.00", "1", "n", "=", "1,", "1", "failed,", "1", "to", "do"]
    assert lines[4].split() == ["-1", "0", "1", "failed"]
    assert lines[5:] == ["measured on MNIST's 10,000 test images", "7 jobs: 4 done, 2 failed, 1 to do"]


def groups_of_runs(folder: Path, accuracies: dict[str, list[float]], **options: Any) -> None:
    """A sweep over ``optimizer.lr`` with a run for each accuracy; the seeds count from 0."""
    plan = []
    for lr, values in accuracies.items():
        for seed, value in enumerate(values):
            finished(folder, f"run_{lr}_{seed}", [value], seed, **options)
            plan.append({"overrides": [f"optimizer.lr={lr}", f"seed={seed}"], "folder": f"run_{lr}_{seed}"})
    (folder / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))


def notes(folder: Path) -> list[str]:
    """What the table says of each group, behind the interval."""
    lines = as_text(read(folder)).splitlines()
    start = lines[0].index("95 % interval") + len("95 % interval")
    return [line[start:].strip() for line in lines[2:] if line[0].isdigit() and " jobs: " not in line]


def test_groups_are_compared_with_the_best_by_seed(tmp_path: Path):
    accuracies = {"0.01": [99.1, 99.2, 99.3], "0.02": [99.0, 99.11, 99.2], "0.03": [99.12, 99.17, 99.3], "1": [99.9]}
    groups_of_runs(tmp_path, accuracies)
    found = notes(tmp_path)
    assert found[0] == "tied for best"
    assert found[1].startswith("-0.10, p = 0.00")
    assert found[2].startswith("tied for best (p = 0.")
    assert found[3] == "n = 1"  # neither best nor tied, with the highest figure of all
    write(tmp_path, read(tmp_path))
    first, second, third, single = json.loads((tmp_path / "sweep.json").read_text())["groups"]
    assert (first["best"], second["best"], single["best"]) == (True, False, False)
    assert second["against_best"]["tied"] is False and third["against_best"]["tied"] is True
    assert single["low"] is None and single["against_best"] is None


def test_two_runs_give_no_interval_and_no_comparison(tmp_path: Path):
    groups_of_runs(tmp_path, {"0.01": [99.1, 99.2], "0.02": [10.0, 61.0]})
    assert notes(tmp_path) == ["n = 2", "n = 2"]
    assert " to " not in as_text(read(tmp_path))


def test_one_group_is_not_called_best(tmp_path: Path):
    groups_of_runs(tmp_path, {"0.01": [99.1, 99.2, 99.3]})
    assert "best" not in as_text(read(tmp_path))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (("mnist", 10_000), "measured on MNIST's 10,000 test images"),
        (("mnist", 50), "measured on 50 of MNIST's 10,000 test images"),
        (("digits", 360), "measured on 360 test images of digits (NOT MNIST)"),
    ],
)
def test_the_table_and_the_files_name_the_images(data: tuple[str, int], said: str, tmp_path: Path):
    groups_of_runs(tmp_path, {"0.01": [98.0, 96.0, 94.0], "0.02": [92.0, 90.0, 98.0]}, data=data)
    rows = read(tmp_path)
    assert said in as_text(rows)
    write(tmp_path, rows)
    with (tmp_path / "sweep.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["data"], row["test_images"]) for row in csv.DictReader(file)] == [(data[0], str(data[1]))] * 6
    assert json.loads((tmp_path / "sweep.json").read_text())["measured_on"] == [said.removeprefix("measured on ")]


def test_groups_on_different_images_are_not_compared(tmp_path: Path):
    groups_of_runs(tmp_path, {"0.01": [99.1, 99.2, 99.3], "0.02": [90.0, 90.1, 90.2]})
    for seed in range(3):
        path = tmp_path / f"run_0.02_{seed}" / "summary.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "data": {"name": "digits", "test": 360, "holdout": 0}}))
    text = as_text(read(tmp_path))
    assert "groups on different images are not compared" in text and "best" not in text
    assert "MNIST's 10,000 test images" in text and "360 test images of digits (NOT MNIST)" in text


def test_held_out_images_decide_where_all_jobs_have_some(tmp_path: Path):
    groups_of_runs(tmp_path, {"0.01": [99.1, 99.2, 99.3], "0.02": [99.4, 99.5, 99.6]})
    assert "add data.holdout=5000" in as_text(read(tmp_path))
    for number, path in enumerate(sorted(tmp_path.glob("*/summary.json"))):
        content = json.loads(path.read_text())
        content["accuracy"]["holdout"] = {"final": 90.0 - number}
        content["data"]["holdout"] = 5000
        path.write_text(json.dumps(content))
    text = as_text(read(tmp_path))
    assert "final holdout accuracy" in text and "data.holdout" not in text
    assert "measured on 5,000 held-out training images of mnist" in text
    assert [line.split()[1] for line in text.splitlines()[2:4]] == ["89.00", "86.00"]
    assert notes(tmp_path)[0] in ("best", "tied for best")
    write(tmp_path, read(tmp_path))
    assert json.loads((tmp_path / "sweep.json").read_text())["judged_by"] == "holdout"


BUDGET = {"accuracy": 99.4, "last_epochs": 1, "accuracy_on": "mnist", "enforce": True}


@pytest.mark.parametrize(
    ("changes", "data", "verdict", "fails"),
    [
        ({}, ("mnist", 10_000), "missed", True),
        ({"accuracy": 90}, ("mnist", 10_000), "met", False),
        ({"accuracy": 90}, ("mnist", 1000), "not judged", True),
        ({"accuracy": 90, "accuracy_on": "any"}, ("mnist", 1000), "met", False),
        ({"enforce": False}, ("mnist", 10_000), "missed", False),
        ({"accuracy": 90, "parameters": 100}, ("mnist", 10_000), "missed", True),
        ({"accuracy": None}, ("mnist", 10_000), "", False),
    ],
)
def test_budgets_are_judged_by_what_the_run_reached(changes, data, verdict, fails, tmp_path: Path):
    groups_of_runs(tmp_path, {"0.01": [99.0]}, data=data)
    budget = {key: value for key, value in {**BUDGET, **changes}.items() if value is not None}
    entry = {"overrides": ["optimizer.lr=0.01", "seed=0"], "folder": "run_0.01_0", "budget": budget}
    (tmp_path / "jobs.jsonl").write_text(json.dumps(entry) + "\n")
    rows = read(tmp_path)
    assert (rows[0].budget or "", failed(rows)) == (verdict, fails)
    counted = {"missed": "1 missed the budget", "not judged": "1 budgets not judged"}
    assert as_text(rows).splitlines()[-1] == ", ".join(["1 jobs: 1 done", *filter(None, [counted.get(verdict)])])


def test_files(sweep: Path):
    rows = read(sweep)
    write(sweep, rows)
    with (sweep / "sweep.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(r["optimizer.lr"], r["seed"], r["status"]) for r in table][:2] == [
        ("0.01", "0", "done"),
        ("0.01", "1", "done"),
    ]
    content = json.loads((sweep / "sweep.json").read_text())
    assert content["groups"][0]["mean"] == pytest.approx(99.1)
    assert content["jobs"][4]["error"] == "out of memory"


def test_pictures(sweep: Path):
    write_curves(sweep, read(sweep))
    names = write_comparisons(sweep, read(sweep))
    assert names == ["accuracy_by_optimizer.lr.png"]
    assert all((sweep / name).read_bytes().startswith(b"\x89PNG") for name in ["curves.png", *names])


def test_curves_of_one_epoch_show_its_accuracies(tmp_path: Path):
    """The picture has the colours of both groups, which axes and grid do not have."""
    plan = []
    for lr, base in (("0.01", 90.0), ("0.1", 95.0)):
        for seed in range(2):
            name = f"run_{lr}_{seed}"
            plan.append({"overrides": [f"optimizer.lr={lr}", f"seed={seed}"], "folder": name})
            finished(tmp_path, name, [base + seed], seed)
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))
    write_curves(tmp_path, read(tmp_path))
    picture = imread(tmp_path / "curves.png")[:, :, :3]
    legend = picture.shape[0] * 3 // 4  # it stands in the lower right corner; its lines are thin
    for colour in ("tab:blue", "tab:orange"):
        is_near = (abs(picture - np.array(to_rgb(colour))) < 0.02).all(2)
        assert is_near[:legend].sum() > 15, colour


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"overrides": 3}', '{"overrides": [], "folder": "../../etc"}', "3", "{}"]
)
def test_a_plan_that_is_none_is_refused(text: str, tmp_path: Path):
    (tmp_path / "jobs.jsonl").write_text(text + "\n")
    with pytest.raises(UserError, match=r"line 1 of .*jobs\.jsonl is not a job\. If you remove the file"):
        read(tmp_path)


def test_ten_thousand_jobs_are_compared_in_seconds(tmp_path: Path):
    """A third of them done."""
    plan = []
    for number in range(10_000):
        name = f"run_{number}"
        plan.append({"overrides": [f"optimizer.lr={number // 10 / 1000}", f"seed={number % 10}"], "folder": name})
        if number % 3 == 0:
            finished(tmp_path, name, [90.0, 90 + number / 1000], number % 10)
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))
    started = time.perf_counter()
    rows = read(tmp_path)
    text = as_text(rows)
    write(tmp_path, rows)
    assert time.perf_counter() - started < 20  # 2 s on a quiet machine
    assert len(text.splitlines()) == 2 + 1000 + 2 + 2  # heads, groups, and the lines below them
    assert sum(row.status == "done" for row in rows) == 3334


def test_a_group_is_what_differs_in_the_seed_alone_whatever_the_words(tmp_path: Path):
    words = (
        ["model=era4", "epochs=1", "seed=0"],
        ["epochs=1", "model=era4", "seed=1"],
        ["model=era4", "device=cpu", "seed=2"],
    )
    plan = [{"overrides": each, "folder": f"run_{i}", "group": "abc"} for i, each in enumerate(words)]
    plan.append({"overrides": ["epochs=1", "seed=3", "model=era4"], "folder": "run_3"})  # of a plan without groups
    plan.append({"overrides": ["model=era4", "epochs=1", "threads=2", "seed=4"], "folder": "run_4"})
    for i in range(5):
        finished(tmp_path, f"run_{i}", [90.0 + i], i)
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))
    found = groups(read(tmp_path))
    assert [len(group.rows) for group in found] == [3, 2]
    assert found[0].overrides == {"model": "era4", "epochs": "1"}


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"accuracy": {"test": 1}}', '{"accuracy": {}}', "\x00"])
def test_a_summary_that_is_not_whole_is_a_run_that_is_not_done(damage: str, sweep: Path):
    (sweep / "run_0.01_0" / "summary.json").write_text(damage)
    rows = read(sweep)
    assert rows[0].status == "missing" and rows[0].final is None
    (sweep / "run_0.01_0" / "config.yaml").write_text("seed: 0\n")
    assert read(sweep)[0].status == "cut"


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff\xfe", b'{"epoch": "x"}\n', b'{"test/accuracy": 3}\n'])
def test_pictures_do_without_figures_that_cannot_be_read(damage: bytes, sweep: Path):
    for path in sweep.glob("*/metrics.jsonl"):
        path.write_bytes(damage)
        finalize(sweep)
        assert (sweep / "curves.png").is_file()


def test_an_error_that_is_no_text_is_shown_as_far_as_it_is(sweep: Path):
    (sweep / "run_0.1_1" / "error.txt").write_bytes(b"out of \xff memory\n")
    assert read(sweep)[4].error == "out of \ufffd memory"
