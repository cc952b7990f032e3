"""Runs are stopped at random places, again and again, and gone on with; what comes out is compared without tolerance."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.faults.child import hear_signals, only_run, train
from tests.faults.compare import assert_same_run
from tests.faults.injected import PLACES, KilledMidWrite, SignalAtStep, SignalInWrite, SignalsAtStep
from tests.faults.recipes import FEW, PER_EPOCH, RECIPES, STEPS

EXIT = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}
QUICK_CASES, LONG_CASES = 6, 100
CASES = [
    pytest.param(case, marks=[] if case < QUICK_CASES else pytest.mark.long) for case in range(QUICK_CASES + LONG_CASES)
]


def go_on(folder: Path) -> None:
    done = train(folder, f"resume={only_run(folder)}")
    assert done.code == 0, done.text


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_stopped_at_random_steps(recipe: str, case: int, references: dict[str, Path], tmp_path: Path):
    draw = random.Random(f"{recipe} {case}")
    every = draw.choice([1, 2, 3, 7, "null"])
    overrides = (*FEW, *RECIPES[recipe], f"checkpoint.steps={every}")
    done = 0  # steps that are saved
    for _ in range(draw.randint(1, 3)):
        step, number = draw.randint(1, STEPS - done), draw.choice(list(EXIT))
        ended = train(tmp_path, *overrides, fault=SignalAtStep(step, number))
        assert ended.code == EXIT[number], ended.text
        run = only_run(tmp_path)
        if number != signal.SIGKILL:
            done += step
            assert torch.load(run / "last.pt", weights_only=True)["step"] == done
            assert re.search(rf"resume=\S*{run.name}\n", ended.text) or done == STEPS
        elif (run / "last.pt").exists():
            done = torch.load(run / "last.pt", weights_only=True)["step"]
            assert (
                every == "null" or done % int(str(every)) == 0 or "stopped by" in (run / "run.log").read_text("utf-8")
            )
        if done == STEPS:
            break
        overrides = (f"resume={run}", f"checkpoint.steps={every}")
    go_on(tmp_path)
    assert_same_run(only_run(tmp_path), references[recipe])


@pytest.mark.parametrize("call", [1, 2, 7])
@pytest.mark.parametrize("place", PLACES)
def test_killed_inside_a_checkpoint(place: str, call: int, references: dict[str, Path], tmp_path: Path):
    """With a checkpoint after each step; the first writes of a run are those of config.yaml and model.txt."""
    recipe = list(RECIPES)[(call + PLACES.index(place)) % len(RECIPES)]
    calls = call + (6 if place.endswith("fsync") else 2)
    ended = train(tmp_path, *FEW, *RECIPES[recipe], "checkpoint.steps=1", fault=SignalInWrite(place, calls))
    assert ended.code == -9
    assert (only_run(tmp_path) / "config.yaml").exists()
    go_on(tmp_path)
    assert_same_run(only_run(tmp_path), references[recipe])


@pytest.mark.parametrize("part", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("call", [1, 2, 6])
def test_killed_by_the_kernel_in_the_middle_of_the_bytes(
    call: int, part: float, references: dict[str, Path], tmp_path: Path
):
    recipe = list(RECIPES)[call % len(RECIPES)]
    ended = train(tmp_path, *FEW, *RECIPES[recipe], "checkpoint.steps=2", fault=KilledMidWrite(call, part))
    assert ended.code == -signal.SIGXFSZ, ended.text
    go_on(tmp_path)
    assert_same_run(only_run(tmp_path), references[recipe])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_a_checkpoint_lets_it_end(number: int, references: dict[str, Path], tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["ema"], "checkpoint.steps=4", fault=SignalInWrite("before fsync", 7, number))
    assert ended.code == EXIT[signal.Signals(number)], ended.text
    assert "To go on" in ended.text
    go_on(tmp_path)
    assert_same_run(only_run(tmp_path), references["ema"])


def test_a_run_that_was_cut_at_every_step(references: dict[str, Path], tmp_path: Path):
    """The worst case: no process lives for more than one step."""
    overrides: tuple[str, ...] = (*FEW, *RECIPES["plateau"])
    for step in range(1, STEPS + 1):
        ended = train(tmp_path, *overrides, fault=SignalAtStep(1, signal.SIGTERM))
        assert ended.code == 143, ended.text
        assert torch.load(only_run(tmp_path) / "last.pt", weights_only=True)["step"] == step
        overrides = (f"resume={only_run(tmp_path)}",)
    assert_same_run(only_run(tmp_path), references["plateau"])


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_finished_run_is_extended_to_what_a_long_one_would_have_been(
    epochs: int, references: dict[str, Path], tmp_path: Path
):
    short = [word for word in FEW if not word.startswith("epochs")]
    ended = train(tmp_path, *short, *RECIPES["plateau"], f"epochs={epochs}")
    assert ended.code == 0, ended.text
    run = only_run(tmp_path)
    again = train(tmp_path, f"resume={run}")
    assert again.code == 0 and "is finished" in again.text and "epochs=... extends it" in again.text
    ended = train(tmp_path, f"resume={run}", "epochs=4", fault=SignalAtStep(2, signal.SIGKILL))
    assert ended.code == -9
    ended = train(tmp_path, f"resume={run}", "epochs=4")
    assert ended.code == 0, ended.text
    assert_same_run(run, references["plateau"])


def test_one_cycle_cannot_be_extended(tmp_path: Path):
    short = [word for word in FEW if not word.startswith("epochs")]
    assert train(tmp_path, *short, *RECIPES["onecycle"], "epochs=2").code == 0
    run = only_run(tmp_path)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.name != "run.log"}
    again = train(tmp_path, f"resume={run}")
    assert again.code == 0 and "is finished" in again.text
    assert "epochs=... extends it" not in again.text and "a run with OneCycleLR cannot be extended" in again.text
    ended = train(tmp_path, f"resume={run}", "epochs=4")
    assert ended.code == 2
    last = ended.text.splitlines()[-1]
    assert last.startswith("error: epochs: the schedule of OneCycleLR was made for 2 epochs"), last
    assert before == {path.name: path.read_bytes() for path in run.iterdir() if path.name != "run.log"}


def test_fewer_epochs_than_trained_are_refused(tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["plateau"], fault=SignalAtStep(PER_EPOCH * 2 + 1, signal.SIGTERM))
    assert ended.code == 143
    ended = train(tmp_path, f"resume={only_run(tmp_path)}", "epochs=2")
    assert ended.code == 2 and "epochs: 2 asked for, and the run is in epoch 3 already" in ended.text


def test_other_conditions_are_said(tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["onecycle"], fault=SignalAtStep(3, signal.SIGTERM))
    assert ended.code == 143
    ended = train(tmp_path, f"resume={only_run(tmp_path)}", "threads=2")
    assert ended.code == 0
    assert "other conditions (threads: 1, now 2)" in ended.text
    summary = (only_run(tmp_path) / "summary.json").read_text(encoding="utf-8")
    assert re.search(r'"changed": {\s*"threads": \[\s*"1",\s*"2"\s*\]', summary)


class Subprocess:
    """The command as a user starts it."""

    def __init__(self, folder: Path, *overrides: str, before: Callable[[], None] = hear_signals) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mnist_lite.train", *overrides],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=before,  # noqa: PLW1509  nothing but signal.signal is called there
        )

    def wait_for(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return
        raise AssertionError(f"never said {words!r}")

    def end(self) -> int:
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(60)


@pytest.mark.parametrize("number", list(EXIT))
def test_the_real_command_at_a_random_time(number: signal.Signals, references: dict[str, Path], tmp_path: Path):
    running = Subprocess(tmp_path, *FEW, *RECIPES["ema"], "checkpoint.seconds=0.05")
    running.wait_for("run folder:")
    time.sleep(random.uniform(0, 0.3))
    running.process.send_signal(number)
    assert running.end() == EXIT[number]
    running = Subprocess(tmp_path, f"resume={only_run(tmp_path)}")
    assert running.end() == 0
    assert_same_run(only_run(tmp_path), references["ema"])


def test_a_signal_that_is_to_be_ignored_is_ignored(references: dict[str, Path], tmp_path: Path):
    def as_nohup_does() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    running = Subprocess(tmp_path, *FEW, *RECIPES["ema"], before=as_nohup_does)
    running.wait_for("run folder:")
    running.process.send_signal(signal.SIGHUP)
    assert running.end() == 0
    assert_same_run(only_run(tmp_path), references["ema"])


INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.mark.parametrize(
    ("numbers", "pause"),
    [
        ((TERM, TERM, TERM), 0.6),
        ((HUP, TERM, INT), 0.6),
        ((INT, TERM, HUP), 0.6),
        ((INT, INT, INT), 0.02),  # as from a program that passes the terminal's signal on
    ],
)
def test_signals_that_are_repeated_are_one_request(
    numbers: tuple[int, ...], pause: float, references: dict[str, Path], tmp_path: Path
):
    ended = train(tmp_path, *FEW, *RECIPES["ema"], fault=SignalsAtStep(3, numbers, pause))
    assert ended.code == 128 + numbers[0], ended.text
    assert torch.load(only_run(tmp_path) / "last.pt", weights_only=True)["step"] == 3
    assert ("Ctrl-C again stops at once" in ended.text) == (INT in numbers)
    go_on(tmp_path)
    assert_same_run(only_run(tmp_path), references["ema"])


def test_the_second_ctrl_c_stops_at_once_whatever_came_before(tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["ema"], fault=SignalsAtStep(3, (TERM, INT, INT), 0.6))
    assert ended.code == 130, ended.text
    assert not (only_run(tmp_path) / "last.pt").exists() and "To go on" not in ended.text


def test_a_second_ctrl_c_stops_inside_a_long_call(tmp_path: Path):
    many = [word for word in FEW if not word.startswith(("data.", "batch_size", "epochs"))]
    # one step of everything there is takes seconds; the second signal does not wait for its end, only for torch's call
    running = Subprocess(tmp_path, *many, "model=base", "batch_size=1437", "epochs=1")
    running.wait_for("run folder:")
    time.sleep(0.5)
    running.process.send_signal(INT)
    time.sleep(0.7)
    running.process.send_signal(INT)
    assert running.end() == 130
    assert not (only_run(tmp_path) / "last.pt").exists()


def test_a_signal_before_the_first_step_leaves_nothing(tmp_path: Path):
    running = Subprocess(tmp_path, *FEW, "model=era4")
    running.wait_for("#  layer")  # the data comes after the table
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 143
    left = list((tmp_path / "runs").iterdir()) if (tmp_path / "runs").exists() else []
    assert not left or (left[0] / "last.pt").exists()


def test_a_reader_that_goes_away_does_not_end_the_run(references: dict[str, Path], tmp_path: Path):
    """``... | head``, a terminal multiplexer that crashes: the log has the lines, and the training is worth more."""
    running = Subprocess(tmp_path, *FEW, *RECIPES["ema"])
    running.wait_for("run folder:")
    assert running.process.stdout is not None
    running.process.stdout.close()
    assert running.process.wait(120) == 0
    assert_same_run(only_run(tmp_path), references["ema"])
    assert "final test accuracy" in (only_run(tmp_path) / "run.log").read_text(encoding="utf-8")
