"""Whole sweeps by the real command: interrupted, killed, failed, started again."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import REPOSITORY
from tests.sweeps.commands import JOB, SWEEP, Sweep, assert_goes_on_to_the_same, assert_same_sweep, gone, linux, run


def test_a_sweep_leaves_runs_a_table_and_pictures(reference: Path):
    content = json.loads((reference / "sweep.json").read_text())
    assert len(content["jobs"]) == 4
    assert [group["n"] for group in content["groups"]] == [2, 2]
    assert (reference / "accuracy_by_optimizer.lr.png").is_file()
    assert (reference / "sweep.csv").is_file()


def test_a_finished_sweep_says_where_its_table_and_pictures_are(reference: Path):
    done = subprocess.run(
        [sys.executable, "-m", "mnist_lite.train", *SWEEP, f"sweep.dir={reference}"],
        cwd=reference.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        f"table: {reference / 'sweep.csv'}",
        f"picture: {reference / 'accuracy_by_optimizer.lr.png'}",
        f"picture: {reference / 'curves.png'}",
    ]


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_all_and_the_sweep_goes_on_exactly(number: signal.Signals, reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP)
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    workers = sweep.workers()
    sweep.process.send_signal(number)
    code, text = sweep.end()
    assert code == 128 + number, text
    assert "Traceback" not in text
    assert all(gone(pid) for pid in workers)
    (pasted,) = [line for line in text.splitlines() if "mnist_lite.train" in line]
    done = subprocess.run(pasted, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same_sweep(tmp_path / "sweep", reference)


@linux
def test_a_worker_that_is_killed_is_replaced_and_its_job_goes_on(reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP)
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    os.kill(sweep.workers()[0], signal.SIGKILL)
    code, text = sweep.end()
    assert code == 0, text
    assert_same_sweep(tmp_path / "sweep", reference)


@linux
def test_workers_run_at_once_and_do_not_outlive_a_sweep_that_is_killed(reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP, "sweep.workers=2")
    sweep.wait_for(lambda: sweep.checkpoints() - len(list(sweep.folder.glob("*/summary.json"))) == 2)
    workers = sweep.workers()
    sweep.process.kill()
    sweep.process.communicate()
    end = time.monotonic() + 30
    while not all(gone(pid) for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert_goes_on_to_the_same(tmp_path, reference)


def test_what_is_done_is_not_done_again(tmp_path: Path):
    few = ("-m", *JOB, "epochs=1", "scheduler=constant")
    assert run(tmp_path, *few, "seed=1,2")[0] == 0
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweep/*/summary.json")}
    code, text = run(tmp_path, *few, "seed=1,2,3")
    assert code == 0 and "2 done, 1 missing" in text
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(list(tmp_path.glob("sweep/*/summary.json"))) == 3
    # the same runs by other words: what a job is, is its config
    code, text = run(tmp_path, *few, "optimizer.lr=0.01", "threads=1", "seed=3,1")
    assert code == 0 and "2 done" in text and "missing" not in text


def test_a_job_that_fails_is_told_counted_and_tried_again_when_asked(tmp_path: Path):
    words = ("-m", *JOB, "epochs=1", "scheduler=constant", "optimizer=sgd", "optimizer.lr=0.01,1e30,-1")
    code, text = run(tmp_path, *words)
    assert code == 1, text
    assert "FAILED  optimizer.lr=1e+30" in text or "FAILED  optimizer.lr=1e30" in text
    assert "training has diverged" in text and "optimizer.lr: -1.0 is out of range" in text
    assert "Traceback" not in text
    rows = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["jobs"]
    assert [row["status"] for row in rows] == ["done", "failed", "failed"]
    assert "diverged" in rows[1]["error"]
    code, text = run(tmp_path, *words)
    assert code == 1 and "[1/" not in text
    code, text = run(tmp_path, *words, "sweep.retry_failed=true")
    assert code == 1 and "[2/2] FAILED" in text
    assert "3 jobs: 1 done, 2 failed" in text


def test_fail_fast_stops_at_the_first(tmp_path: Path):
    words = ("-m", *JOB, "epochs=1", "scheduler=constant", "optimizer=sgd", "sweep.workers=1", "sweep.fail_fast=true")
    code, text = run(tmp_path, *words, "optimizer.lr=1e30,0.01,0.02")
    assert code == 1, text
    assert "2 to do" in text or text.count("1 to do") == 2
    assert len(list(tmp_path.glob("sweep/*/summary.json"))) == 0


SEARCHES = ("search_rates", "search_regularisation", "search_widths")
PRESETS = {"lr": 30, "seeds": 10, "ladder": 15, "norms": 48}


@pytest.mark.parametrize("name", PRESETS)
def test_shipped_sweeps_are_what_they_say(name: str, tmp_path: Path):
    """Every job is composed and checked; none is run, since all are refused in the same way: for want of images."""
    code, text = run(tmp_path, f"sweep={name}", "model=era4", "data=mnist", "data.train_limit=5")
    assert code == 2, text  # no job is left that could run
    assert text.count("error: job ") == PRESETS[name]
    assert text.count("data.train_limit: 5 is out of range") == PRESETS[name]
    assert list(tmp_path.iterdir()) == []


def test_every_shipped_sweep_is_tested():
    assert {path.stem for path in (REPOSITORY / "conf" / "sweep").glob("*.yaml")} == {*PRESETS, *SEARCHES, "free"}


@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_an_enforced_budget_decides_the_exit_code_and_is_judged_again(launcher: str, tmp_path: Path):
    few = (
        "-m",
        *JOB,
        "epochs=1",
        "scheduler=constant",
        "seed=1,2",
        f"hydra/launcher={launcher}",
        "budget.accuracy_on=any",
    )
    enforced = (*few, "budget.enforce=true")
    code, text = run(tmp_path, *enforced, "budget.accuracy=100")
    assert code == 1, text
    assert "2 jobs: 2 done, 2 missed the budget" in text
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweep/*/summary.json")}
    # a budget changes no weight: the same runs, judged by other words
    code, text = run(tmp_path, *enforced, "budget.accuracy=0")
    assert code == 0 and "missed" not in text.splitlines()[-1], text
    code, text = run(tmp_path, *few, "budget.accuracy=100")
    assert code == 0 and "2 jobs: 2 done, 2 missed the budget" in text, text
    code, text = run(tmp_path, *enforced, "budget.accuracy=0", "budget.accuracy_on=mnist")
    assert code == 1 and "2 budgets not judged" in text, text
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweep/*/summary.json")} == written


@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_a_sweep_without_mnist_says_so_and_is_not_mixed_with_one_on_mnist(launcher, mnist_root, tmp_path: Path):
    few = (
        "epochs=1",
        "batch_size=100",
        "data.train_limit=200",
        "data.test_limit=100",
        "scheduler=constant",
        "seed=1,2",
    )
    words = ("-m", "model=era4", "data=auto", *few, f"hydra/launcher={launcher}")
    root = tmp_path / "root"
    root.write_text("a file in the place of the folder: no mirror is asked")
    code, text = run(tmp_path, *words, f"data.root={root}")
    assert code == 0, text
    assert text.count("THIS IS NOT MNIST") == 1
    assert "measured on 100 test images of digits (NOT MNIST)" in text
    with (tmp_path / "sweep" / "sweep.csv").open(encoding="utf-8", newline="") as file:
        assert {row["data"] for row in csv.DictReader(file)} == {"digits"}
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["measured_on"] == [
        "100 test images of digits (NOT MNIST)"
    ]
    root.unlink()
    root.symlink_to(mnist_root)
    code, text = run(tmp_path, *words, f"data.root={root}")
    assert code == 0 and "NOT MNIST" not in text, text
    assert "measured on 100 of MNIST's 10,000 test images" in text
    assert "2 jobs: 2 done" in text
    names = [json.loads(path.read_text())["data"]["name"] for path in tmp_path.glob("sweep/*/summary.json")]
    assert sorted(names) == ["digits", "digits", "mnist", "mnist"]


def test_hydras_own_launcher_does_the_same_jobs(tmp_path: Path):
    few = ("-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2")
    assert run(tmp_path, *few, "hydra/launcher=basic")[0] == 0
    assert len(list(tmp_path.glob("sweep/*/summary.json"))) == 2
    code, text = run(tmp_path, *few)
    assert code == 0 and "2 done\n" in text


def test_folders_of_any_name(tmp_path: Path):
    name = "it's a $größe=1,2"
    words = [sys.executable, "-m", "mnist_lite.train", "-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2"]
    done = subprocess.run(
        [*words, f"sweep.dir={name}"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / name).glob("*/summary.json"))) == 2


def test_a_folder_without_a_name_is_refused(tmp_path: Path):
    words = [sys.executable, "-m", "mnist_lite.train", "-m", *JOB, "seed=1,2", "sweep.dir="]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "error: sweep.dir: empty; name a folder, . for this one\n")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_that_cannot_be_written_down_is_counted_all_the_same(tmp_path: Path):
    words = ("-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2")
    assert run(tmp_path, *words)[0] == 0
    folder = next((tmp_path / "sweep").glob("*seed=1*"))
    shutil.rmtree(folder)
    folder.write_text("no folder")
    code, text = run(tmp_path, *words)
    assert code == 1 and "FAILED  seed=1" in text, text


@pytest.mark.parametrize("damage", ['{"accuracy": {', "{}"])
def test_a_summary_that_is_damaged_is_made_again(damage: str, tmp_path: Path):
    words = ("-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2")
    assert run(tmp_path, *words)[0] == 0
    path = next((tmp_path / "sweep").glob("*seed=1*/summary.json"))
    before = json.loads(path.read_text())
    path.write_text(damage)
    code, text = run(tmp_path, *words)
    assert (code == 0 and "1 done, 1 cut" in text) or "1 cut, 1 done" in text, text
    assert json.loads(path.read_text())["accuracy"] == before["accuracy"]


def test_the_same_words_with_another_file_are_another_job(tmp_path: Path):
    """The plan may spare the composing only while the config files are what they were."""
    mine = tmp_path / "mine" / "optimizer" / "my.yaml"
    mine.parent.mkdir(parents=True)
    words = (
        "-m",
        f"--config-dir={mine.parents[1]}",
        *JOB,
        "epochs=1",
        "scheduler=constant",
        "optimizer=my",
        "seed=1,2",
    )
    for lr, states in (("0.1", "2 missing"), ("0.1", "2 done"), ("0.2", "2 missing")):
        mine.write_text(f"name: SGD\nlr: {lr}\n")
        code, text = run(tmp_path, *words)
        assert code == 0 and f"sweep: {states}" in text, text
    assert len(list(tmp_path.glob("sweep/*/summary.json"))) == 4


def test_a_run_that_another_process_has_is_waited_for(tmp_path: Path):
    """As when a cluster begins a job anew while its lost node is dying."""
    words = ("-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2")
    assert run(tmp_path, *words)[0] == 0
    folder = next((tmp_path / "sweep").glob("*seed=1*"))
    (folder / "summary.json").unlink()
    with FileLock(folder / ".lock"):
        sweep = Sweep(tmp_path, *words)
        time.sleep(8)  # a worker starts in some 3
        assert sweep.process.poll() is None and not (folder / "summary.json").exists()
    code, text = sweep.end()
    assert code == 0 and "1 cut" in text, text
    assert (folder / "summary.json").exists() and not (folder / "error.txt").exists()
