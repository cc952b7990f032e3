"""Rows and groups of a sweep, from its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mnist_lite.errors import UserError
from mnist_lite.sweeps.results import group_rows, has_failures, read_results
from mnist_lite.sweeps.table import totals
from tests.sweeps.fake_sweep import write_grid, write_manifest, write_run


def test_rows_give_the_state_and_the_results_of_every_job(mixed_sweep: Path):
    rows = read_results(mixed_sweep)
    assert [row.status for row in rows] == ["done", "done", "done", "done", "failed", "interrupted", "failed"]
    assert rows[4].error == "out of memory"
    assert rows[6].error == "out of range"
    assert (rows[1].final, rows[1].best, rows[1].train_final, rows[1].seconds) == (99.1, 99.1, 98.1, 3.0)


def test_jobs_that_differ_in_their_seed_only_are_a_group(mixed_sweep: Path):
    groups = group_rows(read_results(mixed_sweep))
    assert [len(group.rows) for group in groups] == [3, 3, 1]
    assert groups[0].estimate is not None and groups[0].estimate.mean == pytest.approx(99.1)
    assert groups[1].estimate is not None and groups[1].estimate.n == 1
    assert groups[2].estimate is None


def test_groups_do_not_depend_on_the_order_of_overrides_or_on_irrelevant_keys(tmp_path: Path):
    same_group = (
        ["model=era4", "epochs=1", "seed=0"],
        ["epochs=1", "model=era4", "seed=1"],
        ["model=era4", "device=cpu", "seed=2"],
    )
    entries = [{"overrides": overrides, "folder": f"run_{i}", "group": "abc"} for i, overrides in enumerate(same_group)]
    # two entries without a group: their overrides decide
    entries.append({"overrides": ["epochs=1", "seed=3", "model=era4"], "folder": "run_3"})
    entries.append({"overrides": ["model=era4", "epochs=1", "threads=2", "seed=4"], "folder": "run_4"})
    for i in range(5):
        write_run(tmp_path, f"run_{i}", [90.0 + i], i)
    write_manifest(tmp_path, entries)
    groups = group_rows(read_results(tmp_path))
    assert [len(group.rows) for group in groups] == [3, 2]
    assert groups[0].overrides == {"model": "era4", "epochs": "1"}


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
        ({"accuracy": None}, ("mnist", 10_000), None, False),
    ],
)
def test_budgets_are_judged_by_the_results_of_the_run(changes, data, verdict, fails, tmp_path: Path):
    write_grid(tmp_path, {"0.01": [99.0]}, data=data)
    budget = {**BUDGET, **changes}
    write_manifest(tmp_path, [{"overrides": ["optimizer.lr=0.01"], "folder": "run_0.01_0", "budget": budget}])
    rows = read_results(tmp_path)
    assert (rows[0].budget, has_failures(rows)) == (verdict, fails)
    count = {"missed": ", 1 missed the budget", "not judged": ", 1 not judged by the budget"}.get(verdict, "")
    assert totals(rows) == [f"1 job: 1 done{count}"]


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"overrides": 3}', '{"overrides": [], "folder": "../../etc"}', "3", "{}", "\xff"]
)
def test_a_line_of_the_manifest_that_is_not_a_job_is_refused(text: str, tmp_path: Path):
    (tmp_path / "jobs.jsonl").write_text(text + "\n", encoding="latin-1")
    with pytest.raises(UserError, match=r"line 1 of .*jobs\.jsonl is not a job: .*If you remove the file"):
        read_results(tmp_path)


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"accuracy": {"test": 1}}', '{"accuracy": {}}', "\x00"])
def test_a_run_with_a_damaged_summary_is_not_done(damage: str, mixed_sweep: Path):
    run = mixed_sweep / "run_0.01_0"
    (run / "summary.json").write_text(damage)
    rows = read_results(mixed_sweep)
    assert rows[0].status == "missing" and rows[0].final is None
    (run / "config.yaml").write_text("seed: 0\n")
    assert read_results(mixed_sweep)[0].status == "interrupted"


def test_an_error_text_with_invalid_characters_is_read(mixed_sweep: Path):
    (mixed_sweep / "run_0.1_1" / "error.txt").write_bytes(b"out of \xff memory\n")
    assert read_results(mixed_sweep)[4].error == "out of \ufffd memory"


def test_held_out_images_of_some_jobs_only_do_not_decide(tmp_path: Path):
    write_grid(tmp_path, {"0.01": [99.1, 99.2]})
    shutil.rmtree(tmp_path / "run_0.01_0")
    write_run(tmp_path, "run_0.01_0", [99.1], seed=0, holdout=50.0)
    (group,) = group_rows(read_results(tmp_path))
    assert group.by_seed == {0: 99.1, 1: 99.2}
