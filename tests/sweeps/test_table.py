"""The table of a sweep: its text, ``sweep.csv`` and ``sweep.json``."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest

from mnist_lite.sweeps.results import read_results
from mnist_lite.sweeps.table import as_text, write_table
from tests.sweeps.fake_sweep import write_grid, write_manifest, write_run


def test_the_text_has_a_line_for_each_group(mixed_sweep: Path):
    lines = as_text(read_results(mixed_sweep)).splitlines()
    assert lines[0].split()[0] == "optimizer.lr"  # overrides of all jobs are left out
    assert lines[2].split() == ["0.01", "99.10", "0.100", "3", "98.81", "to", "99.32"]
    assert lines[3].split() == ["0.1", "90.00", "1", "n", "=", "1,", "1", "failed,", "1", "to", "do"]
    assert lines[4].split() == ["-1", "0", "1", "failed"]
    assert lines[5:] == [
        "measured on MNIST's 10,000 test images",
        "7 jobs: 4 done, 2 failed, 1 to do",
        "failed: optimizer.lr=0.1,seed=1: out of memory",
        "failed: optimizer.lr=-1,seed=0: out of range",
    ]


def test_of_many_failures_the_first_ten_are_shown(tmp_path: Path):
    write_manifest(tmp_path, [{"overrides": [f"optimizer.lr=-{lr}"], "error": "out of range"} for lr in range(1, 13)])
    lines = as_text(read_results(tmp_path)).splitlines()
    assert sum(line.startswith("failed: optimizer.lr=-") for line in lines) == 10
    assert lines[-1] == "and 2 more failed; sweep.json has all of them"


def notes(folder: Path) -> list[str]:
    """The last cell of each line of the table."""
    lines = as_text(read_results(folder)).splitlines()
    start = lines[0].index("95 % interval") + len("95 % interval")
    return [line[start:].strip() for line in lines[2:] if line[0].isdigit() and " jobs: " not in line]


def test_groups_are_compared_with_the_best_by_seed(tmp_path: Path):
    accuracies = {"0.01": [99.1, 99.2, 99.3], "0.02": [99.0, 99.11, 99.2], "0.03": [99.12, 99.17, 99.3], "1": [99.9]}
    write_grid(tmp_path, accuracies)
    found = notes(tmp_path)
    assert found[0] == "tied for best"
    assert found[1].startswith("-0.10, p = 0.00")
    assert found[2].startswith("tied for best (p = 0.")
    assert found[3] == "n = 1"  # one run is not compared, although it has the highest accuracy
    write_table(tmp_path, read_results(tmp_path))
    first, second, third, single = json.loads((tmp_path / "sweep.json").read_text())["groups"]
    assert (first["best"], second["best"], single["best"]) == (True, False, False)
    assert second["against_best"]["tied"] is False and third["against_best"]["tied"] is True
    assert single["low"] is None and single["against_best"] is None


def test_two_runs_give_no_interval_and_no_comparison(tmp_path: Path):
    write_grid(tmp_path, {"0.01": [99.1, 99.2], "0.02": [10.0, 61.0]})
    assert notes(tmp_path) == ["n = 2", "n = 2"]
    assert " to " not in as_text(read_results(tmp_path))


def test_one_group_is_not_called_best(tmp_path: Path):
    write_grid(tmp_path, {"0.01": [99.1, 99.2, 99.3]})
    assert "best" not in as_text(read_results(tmp_path))


@pytest.mark.parametrize("width", [60, 80])
def test_long_notes_take_several_lines_and_the_table_stays_a_table(width: int, tmp_path: Path):
    budget = {"accuracy": 99.4, "last_epochs": 1, "accuracy_on": "mnist", "enforce": False}
    write_grid(tmp_path, {"0.01": [99.1, 99.2, 99.3], "0.02": [99.0, 99.1, 99.4]})
    entries = [json.loads(line) for line in (tmp_path / "jobs.jsonl").read_text().splitlines()]
    write_manifest(tmp_path, [{**entry, "budget": budget} for entry in entries])
    lines = as_text(read_results(tmp_path), width).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("optimizer.lr:" in line for line in lines)  # not a list of cells
    (row,) = [line for line in lines if line.startswith("0.01 ")]
    assert row.split()[:2] == ["0.01", "99.20"] and "tied" in row


@pytest.mark.parametrize(
    ("data", "images"),
    [
        (("mnist", 10_000), "MNIST's 10,000 test images"),
        (("mnist", 50), "50 of MNIST's 10,000 test images"),
        (("digits", 360), "360 test images of digits (NOT MNIST)"),
    ],
)
def test_the_table_and_the_files_name_the_images(data: tuple[str, int], images: str, tmp_path: Path):
    write_grid(tmp_path, {"0.01": [98.0, 96.0, 94.0], "0.02": [92.0, 90.0, 98.0]}, data=data)
    rows = read_results(tmp_path)
    assert f"measured on {images}" in as_text(rows)
    write_table(tmp_path, rows)
    with (tmp_path / "sweep.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["data"], row["test_images"]) for row in csv.DictReader(file)] == [(data[0], str(data[1]))] * 6
    assert json.loads((tmp_path / "sweep.json").read_text())["measured_on"] == [images]


def test_groups_on_different_images_are_not_compared(tmp_path: Path):
    write_grid(tmp_path, {"0.01": [99.1, 99.2, 99.3], "0.02": [90.0, 90.1, 90.2]})
    for seed in range(3):
        path = tmp_path / f"run_0.02_{seed}" / "summary.json"
        content = json.loads(path.read_text())
        content["data"] |= {"name": "digits", "test": 360}
        path.write_text(json.dumps(content))
    text = as_text(read_results(tmp_path))
    assert "groups on different images are not compared" in text and "best" not in text
    assert "MNIST's 10,000 test images" in text and "360 test images of digits (NOT MNIST)" in text


def test_groups_are_compared_on_held_out_images_if_all_jobs_have_them(tmp_path: Path):
    write_grid(tmp_path, {"0.01": [99.1, 99.2, 99.3], "0.02": [99.4, 99.5, 99.6]})
    assert "add data.holdout=5000" in as_text(read_results(tmp_path))
    for number, path in enumerate(sorted(tmp_path.glob("*/summary.json"))):
        content = json.loads(path.read_text())
        content["accuracy"]["holdout"] = {**content["accuracy"]["test"], "final": 90.0 - number}
        content["data"]["holdout"] = 5000
        path.write_text(json.dumps(content))
    text = as_text(read_results(tmp_path))
    assert "final holdout accuracy" in text and "data.holdout" not in text
    assert "measured on 5,000 held-out training images of mnist" in text
    assert [line.split()[1] for line in text.splitlines()[2:4]] == ["89.00", "86.00"]
    assert notes(tmp_path)[0] in ("best", "tied for best")
    write_table(tmp_path, read_results(tmp_path))
    assert json.loads((tmp_path / "sweep.json").read_text())["selection_split"] == "holdout"


def test_the_files_have_a_row_for_each_job(mixed_sweep: Path):
    rows = read_results(mixed_sweep)
    write_table(mixed_sweep, rows)
    with (mixed_sweep / "sweep.csv").open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file))
        file.seek(0)
        table = list(csv.DictReader(file))
    assert len(set(names)) == len(names)
    assert [(row["optimizer.lr"], row["seed"], row["status"]) for row in table] == [
        *(("0.01", str(seed), "done") for seed in range(3)),
        ("0.1", "0", "done"),
        ("0.1", "1", "failed"),
        ("0.1", "2", "interrupted"),
        ("-1", "0", "failed"),
    ]
    content = json.loads((mixed_sweep / "sweep.json").read_text())
    assert content["groups"][0]["mean"] == pytest.approx(99.1)
    assert content["jobs"][4]["error"] == "out of memory"


def test_ten_thousand_jobs_are_compared_in_seconds(tmp_path: Path):
    """A third of the jobs is done."""
    entries = []
    for number in range(10_000):
        name = f"run_{number}"
        entries.append({"overrides": [f"optimizer.lr={number // 10 / 1000}", f"seed={number % 10}"], "folder": name})
        if number % 3 == 0:
            write_run(tmp_path, name, [90.0, 90 + number / 1000], number % 10)
    write_manifest(tmp_path, entries)
    started = time.perf_counter()
    rows = read_results(tmp_path)
    text = as_text(rows)
    write_table(tmp_path, rows)
    assert time.perf_counter() - started < 20  # 2 s on a quiet machine
    assert len(text.splitlines()) == 2 + 50 + 5  # heads, the best groups, and the lines below them
    assert sum(row.status == "done" for row in rows) == 3334
