"""Sweeps that are stopped, killed, or lose workers: every job is saved, and the resumed sweep ends with the same runs.

The steps in some tests take 0.3 s and more. With short steps, a state that is not saved would not be noticed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.sweeps.commands import SWEEP, Sweep, all_ended, assert_same_sweep, linux, run, wait_for

SLOW = (
    *("-m", "data=digits", "data.test_limit=50", "device=cpu", "threads=1", "backend=torch", "scheduler=constant"),
    *("epochs=1000", "checkpoint.seconds=1000", "seed=1,2", "sweep.workers=2"),
    "batch_size=1437",  # all of the digits: one step is one epoch, and takes 0.4 s with era4 on a quiet core
)


def resume(folder: Path, reference: Path) -> None:
    code, text = run(folder, *SWEEP)
    assert code == 0, text
    assert_same_sweep(folder / "sweep", reference)


@linux
def test_a_sweep_that_loses_a_worker_and_is_stopped_ends_with_the_same_runs(reference: Path, tmp_path: Path):
    """The command that the stopped sweep prints is run by a shell."""
    sweep = Sweep(tmp_path, *SWEEP, "sweep.workers=2")
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    first = sweep.workers()
    os.kill(first[0], signal.SIGKILL)
    sweep.wait_for(lambda: len(set(sweep.workers()) - set(first)) == 1)  # it is replaced
    sweep.process.send_signal(signal.SIGTERM)
    workers = sweep.workers()
    code, text = sweep.end()
    assert code == 143 and "Traceback" not in text, text
    assert all_ended(workers)
    (command,) = [line for line in text.splitlines() if "mnist_lite.train" in line]
    assert command.endswith(f" sweep.dir={sweep.folder}")
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same_sweep(sweep.folder, reference)


@pytest.mark.long
@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_by_a_signal_ends_with_the_same_runs(
    number: signal.Signals, reference: Path, tmp_path: Path
):
    sweep = Sweep(tmp_path, *SWEEP)
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    sweep.process.send_signal(number)
    code, text = sweep.end()
    assert code == 128 + number, text
    resume(tmp_path, reference)


@pytest.mark.long
@linux
def test_a_worker_that_is_killed_is_replaced_and_its_job_continues(reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP)
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    os.kill(sweep.workers()[0], signal.SIGKILL)
    code, text = sweep.end()
    assert code == 0, text
    assert_same_sweep(sweep.folder, reference)


@pytest.mark.long
@linux
def test_a_sweep_whose_server_is_killed_starts_another(reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP)
    sweep.wait_for(lambda: sweep.checkpoints() > 0)
    workers, servers = sweep.workers(), sweep.servers()
    os.kill(servers[0], signal.SIGKILL)
    os.kill(workers[0], signal.SIGKILL)
    sweep.wait_for(lambda: bool(set(sweep.workers()) - set(workers)))
    assert set(sweep.servers()) - set(servers)
    code, text = sweep.end()
    assert code == 0, text
    assert_same_sweep(sweep.folder, reference)


@pytest.mark.long
@linux
def test_a_sweep_that_is_killed_ends_with_the_same_runs(reference: Path, tmp_path: Path):
    sweep = Sweep(tmp_path, *SWEEP, "sweep.workers=2")
    sweep.wait_for(lambda: sweep.checkpoints() - len(list(sweep.folder.glob("*/summary.json"))) == 2)
    workers = sweep.workers()
    sweep.process.kill()
    sweep.process.communicate()
    wait_for(lambda: all_ended(workers))
    resume(tmp_path, reference)


def evaluations(sweep: Sweep) -> dict[str, int]:
    """The number of evaluations of each run. A row is visible after its epoch, which is one step."""
    counts = {path.parent.name: path.read_text().count('"epoch_end"') for path in sweep.folder.glob("*/metrics.jsonl")}
    return {name: count for name, count in counts.items() if count}


def send(sweep: Sweep, case: str) -> None:
    pid = sweep.process.pid
    if case == "Ctrl-C":
        os.killpg(pid, signal.SIGINT)  # a terminal sends it to the whole group, and workers ignore it
    elif case == "SIGTERM":
        os.kill(pid, signal.SIGTERM)
    elif case == "SIGTERM to the group, three times":
        for _ in range(3):
            os.killpg(pid, signal.SIGTERM)
            time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)


@linux
@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("Ctrl-C", 130),
        ("SIGKILL", -9),
        pytest.param("SIGTERM", 143, marks=pytest.mark.long),
        pytest.param("SIGTERM to the group, three times", 143, marks=pytest.mark.long),
    ],
)
def test_a_sweep_that_is_stopped_saves_every_job(case: str, code: int, tmp_path: Path):
    sweep = Sweep(tmp_path, *SLOW, "model=era4", own_group=True)
    sweep.wait_for(lambda: len(evaluations(sweep)) == 2)
    workers = sweep.workers()
    before = evaluations(sweep)
    time.sleep(0.1)  # both are in the middle of a step
    send(sweep, case)
    exit_code, text = sweep.end()
    wait_for(lambda: all_ended(workers))
    assert exit_code == code, text
    saved = {path.parent.name: torch.load(path, weights_only=True)["step"] for path in sweep.folder.glob("*/last.pt")}
    assert set(saved) == set(before) and all(saved[name] >= before[name] for name in before), (saved, before, text)
    logs = [path.read_text() for path in sweep.folder.glob("*/run.log")]
    assert all("stopped by SIGTERM after step" in log for log in logs)
    if case != "SIGKILL":
        assert "2 of 2 running jobs can continue from a checkpoint" in text
        (command,) = [line for line in text.splitlines() if "mnist_lite.train" in line]
        assert command.endswith(f" sweep.dir={sweep.folder}") and "Traceback" not in text


@linux
def test_a_sweep_whose_server_was_killed_waits_for_its_workers(tmp_path: Path):
    sweep = Sweep(tmp_path, *SLOW, "model=era4")
    sweep.wait_for(lambda: len(evaluations(sweep)) == 2)
    workers = sweep.workers()
    os.kill(sweep.servers()[0], signal.SIGKILL)
    sweep.process.send_signal(signal.SIGTERM)
    code, text = sweep.end()
    assert all_ended(workers)
    assert code == 143, text
    assert "2 of 2 running jobs can continue from a checkpoint" in text


@linux
def test_a_second_ctrl_c_stops_the_workers_at_once(tmp_path: Path):
    sweep = Sweep(tmp_path, *SLOW, "model=base", own_group=True)  # a step takes 5 s and more
    sweep.wait_for(lambda: len(list(sweep.folder.glob("*/config.yaml"))) == 2)
    workers = sweep.workers()
    time.sleep(1)
    os.killpg(sweep.process.pid, signal.SIGINT)
    time.sleep(0.8)
    os.killpg(sweep.process.pid, signal.SIGINT)
    sent = time.monotonic()
    code, text = sweep.end()
    wait_for(lambda: all_ended(workers))
    assert time.monotonic() - sent < 2
    assert code == 130
    assert not list(sweep.folder.glob("*/last.pt"))
    assert "Ctrl-C again stops at once" in text
    assert "mnist_lite.train" not in text  # nothing can be resumed


def stop_and_kill_workers(sweep: Sweep) -> str:
    """Stops ``sweep`` by SIGTERM, and kills its workers before they can save a checkpoint. Returns the output."""
    workers = sweep.workers()
    sweep.process.send_signal(signal.SIGTERM)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    code, text = sweep.end()
    assert code == 143, text
    assert not sweep.checkpoints()
    return text


@linux
def test_a_sweep_without_checkpoints_does_not_say_that_it_can_be_resumed(tmp_path: Path):
    sweep = Sweep(tmp_path, *SLOW, "model=base")  # a step takes 5 s and more
    sweep.wait_for(lambda: len(list(sweep.folder.glob("*/config.yaml"))) == 2)
    text = stop_and_kill_workers(sweep)
    assert "No job has a checkpoint yet. To start again:" in text
    assert "mnist_lite.train" in text


@linux
def test_a_sweep_that_is_stopped_before_its_first_job_leaves_no_folder(tmp_path: Path):
    sweep = Sweep(tmp_path, *SLOW, "model=era4")
    sweep.wait_for(lambda: (sweep.folder / "jobs.jsonl").exists() and len(sweep.servers()) == 1)
    assert not sweep.workers()  # torch is still being imported
    text = stop_and_kill_workers(sweep)
    assert not sweep.folder.exists()
    assert "mnist_lite.train" not in text
