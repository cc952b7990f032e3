"""Whole sweeps by the train command, in the process of the test: what they write, what they repeat, and their exit codes."""

from __future__ import annotations

import csv
import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import REPOSITORY
from tests.sweeps import inline
from tests.sweeps.commands import JOB, SWEEP
from tests.sweeps.inline import RunInline

ONE_EPOCH = ("-m", *JOB, "epochs=1", "scheduler=constant")
TWO_JOBS = (*ONE_EPOCH, "seed=1,2")


def write_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("sweep/*/summary.json")}


def test_a_finished_sweep_names_its_table_and_pictures(reference: Path):
    content = json.loads((reference / "sweep.json").read_text())
    assert len(content["jobs"]) == 4 and [group["n"] for group in content["groups"]] == [2, 2]
    code, text = inline.train(reference.parent, *SWEEP, f"sweep.dir={reference}")
    assert code == 0, text
    assert text.splitlines()[-3:] == [
        f"table: {reference / 'sweep.csv'}",
        f"picture: {reference / 'accuracy_by_optimizer.lr.png'}",
        f"picture: {reference / 'curves.png'}",
    ]
    assert (reference / "sweep.csv").is_file() and (reference / "curves.png").is_file()


def test_jobs_that_are_done_do_not_run_again(run_inline: RunInline, tmp_path: Path):
    assert run_inline(*TWO_JOBS)[0] == 0
    before = write_times(tmp_path)
    code, text = run_inline(*ONE_EPOCH, "seed=1,2,3")
    assert code == 0 and "2 done, 1 missing" in text
    after = write_times(tmp_path)
    assert len(after) == 3 and before.items() <= after.items()
    # the same runs by other overrides: the config decides
    code, text = run_inline(*ONE_EPOCH, "optimizer.lr=0.01", "threads=1", "seed=3,1")
    assert code == 0 and "2 done" in text and "missing" not in text
    # and by Hydra's own launcher
    code, text = run_inline(*TWO_JOBS, "hydra/launcher=basic")
    assert code == 0 and write_times(tmp_path) == after


def test_failed_jobs_are_counted_and_run_again_when_asked_for(run_inline: RunInline, tmp_path: Path):
    arguments = (*ONE_EPOCH, "optimizer=sgd", "optimizer.lr=0.01,1e30,-1")
    code, text = run_inline(*arguments)
    assert code == 1, text
    assert "FAILED  optimizer.lr=1e" in text
    assert "training has diverged" in text and "optimizer.lr: -1.0 is out of range" in text
    assert "Traceback" not in text
    rows = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["jobs"]
    assert [row["status"] for row in rows] == ["done", "failed", "failed"]
    assert "diverged" in rows[1]["error"]
    code, text = run_inline(*arguments)
    assert code == 1 and "[1/" not in text
    code, text = run_inline(*arguments, "sweep.retry_failed=true")
    assert code == 1 and "[2/2] FAILED" in text
    assert "3 jobs: 1 done, 2 failed" in text


@pytest.mark.parametrize("values", ["range(0)", "range(3,1)", "range(0,3,-1)"])
def test_a_range_without_values_is_one_line(values: str, run_inline: RunInline, tmp_path: Path):
    code, text = run_inline("-m", "model=era4", f"seed={values}")
    assert (code, text) == (2, f"error: seed: {values} has no values\n")
    assert not list(tmp_path.iterdir())


def test_a_value_that_is_given_twice_is_one_job(run_inline: RunInline):
    code, text = run_inline(*ONE_EPOCH, "seed=1", "optimizer.lr=0.01,0.01")
    assert code == 0 and "sweep of 1 job in" in text and "1 job: 1 done" in text, text


def test_invalid_jobs_are_counted(run_inline: RunInline):
    code, text = run_inline(*ONE_EPOCH, "seed=1", "batch_size=25,-1")
    assert code == 1, text
    assert "error: job batch_size=-1: batch_size: -1 is out of range" in text
    assert "2 jobs: 1 done, 1 failed" in text


def test_fail_fast_stops_at_the_first_failure(run_inline: RunInline, tmp_path: Path):
    code, text = run_inline(*ONE_EPOCH, "optimizer=sgd", "sweep.fail_fast=true", "optimizer.lr=1e30,0.01,0.02")
    assert code == 1 and "[1/3] FAILED" in text and "[2/3]" not in text, text
    assert not write_times(tmp_path)


SEARCHES = ("search_rates", "search_regularisation", "search_widths")
PRESETS = {"lr": 6, "seeds": 10, "ladder": 5, "norms": 16, "reproduce": 10, "frontier": 7}


@pytest.mark.parametrize("name", PRESETS)
def test_shipped_sweeps_have_their_number_of_jobs(name: str, run_inline: RunInline, tmp_path: Path):
    """Every job is composed and checked, with one seed. None is run, because all have the same invalid key."""
    seed = [] if name == "seeds" else ["seed=0"]
    code, text = run_inline(f"sweep={name}", "model=era4", "data=mnist", "data.train_limit=5", *seed)
    assert code == 2, text
    assert text.count("error: job ") == PRESETS[name]
    assert text.count("data.train_limit: 5 is out of range") == PRESETS[name]
    assert list(tmp_path.iterdir()) == []


def test_every_shipped_sweep_is_tested():
    assert {path.stem for path in (REPOSITORY / "conf" / "sweep").glob("*.yaml")} == {*PRESETS, *SEARCHES, "free"}


ANY_BUDGET = (*TWO_JOBS, "budget.accuracy_on=any")


def test_an_enforced_budget_decides_the_exit_code_and_is_judged_at_each_start(run_inline: RunInline, tmp_path: Path):
    enforced = (*ANY_BUDGET, "budget.enforce=true")
    code, text = run_inline(*enforced, "budget.accuracy=100")
    assert code == 1 and "2 jobs: 2 done, 2 missed the budget" in text, text
    before = write_times(tmp_path)
    # a budget does not change a run, so nothing runs again
    code, text = run_inline(*enforced, "budget.accuracy=0")
    assert code == 0 and "2 jobs: 2 done\n" in text, text
    code, text = run_inline(*ANY_BUDGET, "budget.accuracy=100")
    assert code == 0 and "2 jobs: 2 done, 2 missed the budget" in text, text
    code, text = run_inline(*enforced, "budget.accuracy=0", "budget.accuracy_on=mnist")
    assert code == 1 and "2 not judged by the budget" in text, text
    assert write_times(tmp_path) == before


def test_an_enforced_budget_decides_the_exit_code_with_another_launcher(run_inline: RunInline):
    code, text = run_inline(*ANY_BUDGET, "budget.enforce=true", "budget.accuracy=100", "hydra/launcher=basic")
    assert code == 1 and "2 jobs: 2 done, 2 missed the budget" in text, text


@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_a_sweep_names_its_data_and_does_not_mix_digits_with_mnist(
    launcher: str, mnist_root: Path, run_inline: RunInline, tmp_path: Path
):
    root = tmp_path / "root"
    images = ("data=auto", f"data.root={root}", "data.train_limit=200", "data.test_limit=100")
    arguments = ("-m", "model=era4", *images, "epochs=1", "batch_size=100", "scheduler=constant", "seed=1,2")
    root.write_text("a file instead of a folder: no mirror is asked")
    code, text = run_inline(*arguments, f"hydra/launcher={launcher}")
    assert code == 0, text
    assert text.count("THIS IS NOT MNIST") == 1
    assert "measured on 100 test images of digits (NOT MNIST)" in text
    with (tmp_path / "sweep" / "sweep.csv").open(encoding="utf-8", newline="") as file:
        assert {row["data"] for row in csv.DictReader(file)} == {"digits"}
    content = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert content["measured_on"] == ["100 test images of digits (NOT MNIST)"]
    root.unlink()
    root.symlink_to(mnist_root)
    code, text = run_inline(*arguments, f"hydra/launcher={launcher}")
    assert code == 0 and "NOT MNIST" not in text, text
    assert "measured on 100 of MNIST's 10,000 test images" in text
    assert "2 jobs: 2 done" in text
    names = [json.loads(path.read_text())["data"]["name"] for path in tmp_path.glob("sweep/*/summary.json")]
    assert sorted(names) == ["digits", "digits", "mnist", "mnist"]


def test_the_folder_may_have_any_name(tmp_path: Path):
    name = "it's a $größe=1,2"
    code, text = inline.train(tmp_path, *ONE_EPOCH, "seed=1", f"sweep.dir={name}")
    assert code == 0, text
    assert len(list((tmp_path / name).glob("*/summary.json"))) == 1


def test_the_folder_must_have_a_name(tmp_path: Path):
    assert inline.train(tmp_path, *TWO_JOBS, "sweep.dir=") == (
        2,
        "error: sweep.dir: empty; name a folder, . for this one\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_failure_that_cannot_be_recorded_is_counted(run_inline: RunInline, tmp_path: Path):
    assert run_inline(*TWO_JOBS)[0] == 0
    folder = next((tmp_path / "sweep").glob("*seed=1*"))
    shutil.rmtree(folder)
    folder.write_text("not a folder")
    code, text = run_inline(*TWO_JOBS)
    assert code == 1 and "FAILED  seed=1" in text, text


def test_a_damaged_summary_is_written_again(run_inline: RunInline, tmp_path: Path):
    assert run_inline(*TWO_JOBS)[0] == 0
    path = next((tmp_path / "sweep").glob("*seed=1*/summary.json"))
    before = json.loads(path.read_text())
    path.write_text('{"accuracy": {')
    code, text = run_inline(*TWO_JOBS)
    assert code == 0 and "1 interrupted" in text and "1 done" in text, text
    assert json.loads(path.read_text())["accuracy"] == before["accuracy"]


def test_a_changed_config_file_makes_other_jobs(run_inline: RunInline, tmp_path: Path):
    file = tmp_path / "mine" / "optimizer" / "my.yaml"
    file.parent.mkdir(parents=True)
    for lr, states in (("0.1", "1 missing"), ("0.1", "1 done"), ("0.2", "1 missing")):
        file.write_text(f"name: SGD\nlr: {lr}\n")
        code, text = run_inline(f"--config-dir={file.parents[1]}", *ONE_EPOCH, "optimizer=my", "seed=1")
        assert code == 0 and f"sweep: {states}" in text, text
    assert len(write_times(tmp_path)) == 2


def test_a_run_that_another_process_uses_is_waited_for(run_inline: RunInline, tmp_path: Path):
    """A cluster may restart a job while its lost node is still ending."""
    assert run_inline(*ONE_EPOCH, "seed=1")[0] == 0
    (folder,) = (tmp_path / "sweep").glob("*seed=1*")
    (folder / "summary.json").unlink()
    lock = FileLock(folder / ".lock", thread_local=False)
    lock.acquire()
    started = time.monotonic()
    threading.Timer(3, lock.release).start()
    code, text = run_inline(*ONE_EPOCH, "seed=1")
    assert code == 0 and "1 interrupted" in text, text
    assert time.monotonic() - started > 3
    assert (folder / "summary.json").exists() and not (folder / "error.txt").exists()
