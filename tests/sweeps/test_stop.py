"""A sweep that is stopped saves every job. The steps here take 0.3 s and more: with quick steps a lost state goes unseen."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.sweeps.commands import Sweep, gone, linux

SLOW = (
    *(
        "-m",
        "data=digits",
        "data.test_limit=50",
        "model=era4",
        "device=cpu",
        "threads=1",
        "backend=torch",
        "scheduler=constant",
    ),
    *("epochs=1000", "checkpoint.seconds=1000", "seed=1,2", "sweep.workers=2"),
)
STEP = "batch_size=1437"  # all of the digits: one step is one epoch, and takes some 0.4 s on a quiet core


def rows(sweep: Sweep) -> dict[str, int]:
    """Evaluations by run; a row is visible as soon as its epoch, which is one step, has ended."""
    found = {path.parent.name: path.read_text().count('"epoch_end"') for path in sweep.folder.glob("*/metrics.jsonl")}
    return {name: count for name, count in found.items() if count}


def send(sweep: Sweep, case: str) -> None:
    pid = sweep.process.pid
    if case == "Ctrl-C":
        os.killpg(pid, signal.SIGINT)  # a terminal sends it to the whole group; workers ignore it
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
    [("Ctrl-C", 130), ("SIGTERM", 143), ("SIGTERM to the group, three times", 143), ("SIGKILL", -9)],
)
def test_a_sweep_that_is_stopped_saves_every_job(case: str, code: int, tmp_path: Path):
    sweep = Sweep(tmp_path, *SLOW, STEP, own_group=True)
    sweep.wait_for(lambda: len(rows(sweep)) == 2)
    workers = sweep.workers()
    before = rows(sweep)
    time.sleep(0.1)  # now both are in the middle of a step
    send(sweep, case)
    ended, text = sweep.end()
    sweep.wait_for_the_end_of(workers)
    assert ended == code, text
    saved = {path.parent.name: torch.load(path, weights_only=True)["step"] for path in sweep.folder.glob("*/last.pt")}
    assert set(saved) == set(before) and all(saved[name] >= before[name] for name in before), (saved, before, text)
    logs = [path.read_text() for path in sweep.folder.glob("*/run.log")]
    assert all("stopped by SIGTERM after step" in log for log in logs)
    if case != "SIGKILL":
        assert "2 of 2 running jobs can go on from a checkpoint" in text
        assert "To go on:\n" in text and "Traceback" not in text


@linux
def test_a_second_ctrl_c_stops_the_workers_at_once(tmp_path: Path):
    words = [word for word in SLOW if word != "model=era4"]
    sweep = Sweep(tmp_path, *words, "model=base", STEP, own_group=True)  # a step takes 5 s and more
    sweep.wait_for(lambda: len(list(sweep.folder.glob("*/config.yaml"))) == 2)
    workers = sweep.workers()
    time.sleep(1)
    os.killpg(sweep.process.pid, signal.SIGINT)
    time.sleep(0.8)
    os.killpg(sweep.process.pid, signal.SIGINT)
    sent = time.monotonic()
    code, text = sweep.end()
    sweep.wait_for_the_end_of(workers)
    assert time.monotonic() - sent < 2
    assert code == 130 and all(gone(pid) for pid in workers)
    assert not list(sweep.folder.glob("*/last.pt"))
    assert "Ctrl-C again stops at once" in text
    assert "To go on" not in text


@linux
def test_a_sweep_that_has_saved_nothing_does_not_say_how_to_go_on(tmp_path: Path):
    sweep = Sweep(tmp_path, *SLOW, STEP)
    sweep.wait_for((sweep.folder / "jobs.jsonl").exists)  # the workers are still importing torch
    sweep.process.send_signal(signal.SIGTERM)
    code, text = sweep.end()
    assert code == 143, text
    assert "To go on" not in text
    # a sweep in which no job has begun leaves nothing behind
    assert ("No job has a checkpoint" in text) == sweep.folder.exists()
