"""The arithmetic of a sweep's table, against scipy and by hand."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from scipy import stats

from mnist_lite.errors import UserError
from mnist_lite.sweep.conduct import conclude
from mnist_lite.sweep.plots import write_comparisons, write_curves
from mnist_lite.sweep.statistics import Estimate, best
from mnist_lite.sweep.table import as_text, groups, read, write

VALUES = [99.1, 99.3, 99.25, 98.9]


def finished(folder: Path, name: str, accuracies: list[float], parameters: int = 100, seconds: float = 2.0) -> None:
    run = folder / name
    run.mkdir()
    rows = [
        {"step": 10 * e, "epoch": e, "test/accuracy": a, "train/epoch_accuracy": a - 1}
        for e, a in enumerate(accuracies, 1)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    figures = {"final": accuracies[-1], "best": max(accuracies), "mean_last_5": sum(accuracies) / len(accuracies)}
    train = {key: value - 1 for key, value in figures.items()}
    content = {
        "accuracy": {"test": figures, "train": train},
        "parameters": parameters,
        "seconds": {"train": seconds, "eval": 1.0},
    }
    (run / "summary.json").write_text(json.dumps(content))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two rates, three seeds; one job has failed, one was never begun, one is cut, one has no config."""
    plan = []
    for lr, base in (("0.01", 99.0), ("0.1", 90.0)):
        for seed in range(3):
            name = f"run_{lr}_{seed}"
            plan.append({"overrides": ["model=era4", f"optimizer.lr={lr}", f"seed={seed}"], "folder": name})
            if (lr, seed) not in {("0.1", 1), ("0.1", 2)}:
                finished(tmp_path, name, [base - 5, base + seed / 10])
    (tmp_path / "run_0.1_1").mkdir()
    (tmp_path / "run_0.1_1" / "error.txt").write_text("out of memory\n")
    plan.append({"overrides": ["model=era4", "optimizer.lr=-1", "seed=0"], "error": "out of range"})
    (tmp_path / "run_0.1_2").mkdir()
    (tmp_path / "run_0.1_2" / "config.yaml").write_text("seed: 2\n")
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))
    return tmp_path


def test_the_interval_is_students():
    e = Estimate.of(VALUES)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, loc=sum(VALUES) / 4, scale=stats.sem(VALUES))
    assert [e.n, e.mean, e.deviation, e.low, e.high] == pytest.approx([4, 99.1375, stats.tstd(VALUES), low, high])


def test_one_value_has_no_interval():
    assert Estimate.of([99.0]) == Estimate(1, 99.0, None, None, None)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(99.0, 99.2), (98.0, 98.9)], [0]),
        ([(99.0, 99.2), (98.0, 99.0)], [0, 1]),
        ([(98.0, 98.5), (99.0, 99.2), (98.9, 99.1)], [1, 2]),
        ([None, (99.0, 99.2), (98.0, 98.5)], [0, 1]),
        ([None, None], []),
        ([], []),
    ],
)
def test_only_what_the_intervals_part_is_best(intervals, expected):
    made = [
        Estimate(1, 99.5, None, None, None) if i is None else Estimate(5, (i[0] + i[1]) / 2, 0.1, *i) for i in intervals
    ]
    assert best(made) == expected


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
    assert lines[2].split() == ["0.01", "99.10", "0.100", "3", "98.85", "to", "99.35", "tied", "for", "best"]
    assert lines[3].split() == ["0.1", "90.00", "1", "tied", "for", "best,", "1", "failed,", "1", "to", "do"]
    assert lines[4].split() == ["-1", "0", "1", "failed"]


def test_held_out_images_judge_where_all_have_some(sweep: Path):
    assert as_text(read(sweep)).splitlines()[-1].startswith("judged by the test images; with data.holdout=5000")
    for number, path in enumerate(sorted(sweep.glob("*/summary.json"))):
        content = json.loads(path.read_text())
        content["accuracy"]["holdout"] = {"final": 80.0 + number}
        path.write_text(json.dumps(content))
    lines = as_text(read(sweep)).splitlines()
    assert "final holdout accuracy" in lines[0] and "judged" not in lines[-1]
    assert lines[2].split()[:2] == ["0.01", "81.00"] and lines[3].split()[:2] == ["0.1", "83.00"]
    write(sweep, read(sweep))
    assert json.loads((sweep / "sweep.json").read_text())["judged_by"] == "holdout"


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
            finished(tmp_path, name, [base + seed])
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
            finished(tmp_path, name, [90.0, 90 + number / 1000])
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))
    started = time.perf_counter()
    rows = read(tmp_path)
    text = as_text(rows)
    write(tmp_path, rows)
    assert time.perf_counter() - started < 20  # 2 s on a quiet machine
    assert len(text.splitlines()) == 2 + 1000 + 1  # heads, groups, and who has judged
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
        finished(tmp_path, f"run_{i}", [90.0 + i])
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
        conclude(sweep)
        assert (sweep / "curves.png").is_file()


def test_an_error_that_is_no_text_is_shown_as_far_as_it_is(sweep: Path):
    (sweep / "run_0.1_1" / "error.txt").write_bytes(b"out of \xff memory\n")
    assert read(sweep)[4].error == "out of \ufffd memory"
