"""Runs are stopped at different places and resumed. The result must equal that of an uninterrupted run, bit for bit."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mnist_lite.process.stop_request import NOTICE
from tests.faults.child import default_signals, only_run, start, train
from tests.faults.compare import assert_same_run
from tests.faults.injected import (
    PLACES,
    ClosedOutput,
    KilledMidWrite,
    LongStep,
    SignalAtStep,
    SignalIgnored,
    SignalInWrite,
    SignalsAtStep,
    SignalWhileLoading,
)
from tests.faults.recipes import FEW, PER_EPOCH, RECIPES, STEPS

INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL
EXIT = {INT: 130, TERM: 143, HUP: 129, KILL: -9}
SHORT_CASES, LONG_CASES = 2, 100
CASES = [
    pytest.param(case, marks=[] if case < SHORT_CASES else pytest.mark.long) for case in range(SHORT_CASES + LONG_CASES)
]
FEW_WITHOUT_EPOCHS = tuple(word for word in FEW if not word.startswith("epochs"))


def long_unless(short: bool, *values: Any) -> Any:
    """Values of a parametrized test, which is marked ``long`` unless ``short``."""
    return pytest.param(*values, marks=[] if short else pytest.mark.long)


def step_of(run: Path) -> int:
    """The step of the checkpoint."""
    return int(torch.load(run / "last.pt", weights_only=True)["step"])


def resume(folder: Path) -> None:
    done = train(folder, f"resume={only_run(folder)}")
    assert done.code == 0, done.text


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_stopped_at_random_steps(recipe: str, case: int, references: dict[str, Path], tmp_path: Path):
    """Stopped one to three times. The first case of a recipe begins with a signal that saves, the second with SIGKILL."""
    draw = random.Random(f"{recipe} {case}")
    every = draw.choice([1, 2, 3, 7, "null"])
    overrides = (*FEW, *RECIPES[recipe], f"checkpoint.steps={every}")
    saved = 0
    for stop in range(draw.randint(1, 3)):
        numbers = {0: [INT, TERM, HUP], 1: [KILL]}.get(case, list(EXIT)) if stop == 0 else list(EXIT)
        step, number = draw.randint(1, STEPS - saved), draw.choice(numbers)
        ended = train(tmp_path, *overrides, fault=SignalAtStep(step, number))
        assert ended.code == EXIT[number], ended.text
        run = only_run(tmp_path)
        if number != KILL:
            saved += step
            assert step_of(run) == saved
            assert f"{run.name}\n" in ended.text or saved == STEPS  # in the command that resumes it
        elif (run / "last.pt").exists():
            saved = step_of(run)
            by_signal = "stopped by" in (run / "run.log").read_text("utf-8")
            assert every == "null" or saved % int(str(every)) == 0 or by_signal
        if saved == STEPS:
            break
        overrides = (f"resume={run}", f"checkpoint.steps={every}")
    resume(tmp_path)
    assert_same_run(only_run(tmp_path), references[recipe])


@pytest.mark.parametrize(
    ("place", "call"),
    [
        # With a checkpoint at each step, the first two renames belong to the first checkpoint and to best.pt.
        long_unless((place, call) in {(place, 2), ("before replace", 1), ("before replace", 7)}, place, call)
        for place in PLACES
        for call in (1, 2, 7)
    ],
)
def test_killed_inside_a_checkpoint(place: str, call: int, references: dict[str, Path], tmp_path: Path):
    """With a checkpoint after each step; the first writes of a run are those of config.yaml and model.txt."""
    recipe = list(RECIPES)[(call + PLACES.index(place)) % len(RECIPES)]
    calls = call + (6 if place.endswith("fsync") else 2)
    ended = train(tmp_path, *FEW, *RECIPES[recipe], "checkpoint.steps=1", fault=SignalInWrite(place, calls))
    assert ended.code == -9
    assert (only_run(tmp_path) / "config.yaml").exists()
    resume(tmp_path)
    assert_same_run(only_run(tmp_path), references[recipe])


@pytest.mark.parametrize(
    ("call", "part"),
    [
        long_unless((call, part) in {(1, 0.3), (6, 0.999)}, call, part)
        for call in (1, 2, 6)
        for part in (0.0, 0.3, 0.999)
    ],
)
def test_killed_by_the_kernel_in_the_middle_of_the_bytes(
    call: int, part: float, references: dict[str, Path], tmp_path: Path
):
    recipe = list(RECIPES)[call % len(RECIPES)]
    ended = train(tmp_path, *FEW, *RECIPES[recipe], "checkpoint.steps=2", fault=KilledMidWrite(call, part))
    assert ended.code == -signal.SIGXFSZ, ended.text
    resume(tmp_path)
    assert_same_run(only_run(tmp_path), references[recipe])


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_inside_a_checkpoint_lets_it_end(number: int, references: dict[str, Path], tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["ema"], "checkpoint.steps=4", fault=SignalInWrite("before fsync", 7, number))
    assert ended.code == EXIT[signal.Signals(number)], ended.text
    assert step_of(only_run(tmp_path)) < STEPS
    resume(tmp_path)
    assert_same_run(only_run(tmp_path), references["ema"])


def test_a_run_that_is_stopped_at_every_step(references: dict[str, Path], tmp_path: Path):
    """The worst case: no process lives for more than one step."""
    overrides: tuple[str, ...] = (*FEW, *RECIPES["plateau"])
    for step in range(1, STEPS + 1):
        ended = train(tmp_path, *overrides, fault=SignalAtStep(1, TERM))
        assert ended.code == 143, ended.text
        assert step_of(only_run(tmp_path)) == step
        overrides = (f"resume={only_run(tmp_path)}",)
    assert_same_run(only_run(tmp_path), references["plateau"])


@pytest.mark.parametrize("epochs", [long_unless(False, 2), 3])
def test_an_extended_run_equals_a_longer_one(epochs: int, references: dict[str, Path], tmp_path: Path):
    ended = train(tmp_path, *FEW_WITHOUT_EPOCHS, *RECIPES["plateau"], f"epochs={epochs}")
    assert ended.code == 0, ended.text
    run = only_run(tmp_path)
    again = train(tmp_path, f"resume={run}")
    assert again.code == 0 and "a larger epochs=<number> trains it for longer" in again.text
    assert train(tmp_path, f"resume={run}", "epochs=4", fault=SignalAtStep(2, KILL)).code == -9
    ended = train(tmp_path, f"resume={run}", "epochs=4")
    assert ended.code == 0, ended.text
    assert_same_run(run, references["plateau"])


def test_one_cycle_cannot_be_extended(tmp_path: Path):
    assert train(tmp_path, *FEW_WITHOUT_EPOCHS, *RECIPES["onecycle"], "epochs=2").code == 0
    run = only_run(tmp_path)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    again = train(tmp_path, f"resume={run}")
    assert again.code == 0 and "a larger epochs=<number> trains it for longer" not in again.text
    ended = train(tmp_path, f"resume={run}", "epochs=4")
    assert ended.code == 2
    last = ended.text.splitlines()[-1]
    assert last.startswith("error: epochs: ") and "OneCycleLR" in last, ended.text
    assert before == {path.name: path.read_bytes() for path in run.iterdir()}


def test_fewer_epochs_than_trained_are_refused(tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["plateau"], fault=SignalAtStep(PER_EPOCH * 2 + 1, TERM))
    assert ended.code == 143
    ended = train(tmp_path, f"resume={only_run(tmp_path)}", "epochs=2")
    assert ended.code == 2 and "error: epochs: " in ended.text and "2 epochs are too few" in ended.text


def test_changed_conditions_are_reported(tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["onecycle"], fault=SignalAtStep(3, TERM))
    assert ended.code == 143
    ended = train(tmp_path, f"resume={only_run(tmp_path)}", "threads=2")
    assert ended.code == 0 and "threads: 1, now 2" in ended.text
    summary = (only_run(tmp_path) / "summary.json").read_text(encoding="utf-8")
    assert re.search(r'"changed": {\s*"threads": \[\s*"1",\s*"2"\s*\]', summary)


@pytest.mark.parametrize("number", [long_unless(number == TERM, number) for number in EXIT])
def test_the_real_command_at_a_random_time(number: signal.Signals, references: dict[str, Path], tmp_path: Path):
    """``python -m mnist_lite.train`` in a new interpreter, as a user starts it."""
    running = subprocess.Popen(
        [sys.executable, "-m", "mnist_lite.train", *FEW, *RECIPES["ema"], "checkpoint.seconds=0.05"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=default_signals,  # noqa: PLW1509  nothing but signal.signal is called there
    )
    assert running.stdout is not None
    assert any("run folder:" in line for line in running.stdout)
    time.sleep(random.uniform(0, 0.2))
    running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode == EXIT[number]
    resume(tmp_path)
    assert_same_run(only_run(tmp_path), references["ema"])


def test_an_ignored_signal_stays_ignored(references: dict[str, Path], tmp_path: Path):
    """``nohup`` ignores SIGHUP for the command that it starts."""
    ended = train(tmp_path, *FEW, *RECIPES["ema"], fault=SignalIgnored(3, HUP))
    assert ended.code == 0, ended.text
    assert_same_run(only_run(tmp_path), references["ema"])


@pytest.mark.parametrize(
    ("numbers", "pause"),
    [
        long_unless(False, (TERM, TERM, TERM), 0.6),
        long_unless(True, (HUP, TERM, INT), 0.6),
        long_unless(False, (INT, TERM, HUP), 0.6),
        long_unless(True, (INT, INT, INT), 0.02),  # as from a program that passes the terminal's signal on
    ],
)
def test_repeated_signals_are_one_request(
    numbers: tuple[int, ...], pause: float, references: dict[str, Path], tmp_path: Path
):
    ended = train(tmp_path, *FEW, *RECIPES["ema"], fault=SignalsAtStep(3, numbers, pause))
    assert ended.code == 128 + numbers[0], ended.text
    assert step_of(only_run(tmp_path)) == 3
    assert (NOTICE in ended.text) == (INT in numbers)
    resume(tmp_path)
    assert_same_run(only_run(tmp_path), references["ema"])


def test_the_second_ctrl_c_stops_at_once_whatever_came_before(tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["ema"], fault=SignalsAtStep(3, (TERM, INT, INT), 0.6))
    assert ended.code == 130, ended.text
    assert not (only_run(tmp_path) / "last.pt").exists()


def test_a_second_ctrl_c_stops_inside_a_long_call(tmp_path: Path):
    """Python runs no signal handler before the call ends, which takes minutes here."""
    running = start(tmp_path, *FEW, *RECIPES["ema"], fault=LongStep("began"))
    end = time.monotonic() + 60
    while not (tmp_path / "began").exists():
        assert running.is_alive() and time.monotonic() < end
        time.sleep(0.05)
    for _ in range(2):
        os.kill(running.pid, INT)
        time.sleep(0.6)
    running.join(60)
    assert running.exitcode == 130
    assert not (only_run(tmp_path) / "last.pt").exists()


def test_a_signal_before_the_first_step_leaves_nothing(tmp_path: Path):
    ended = train(tmp_path, *FEW, *RECIPES["ema"], fault=SignalWhileLoading(TERM))
    assert ended.code == 143, ended.text
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_does_not_end_the_run(references: dict[str, Path], tmp_path: Path):
    """``... | head``, or a terminal that crashes. ``run.log`` has the lines."""
    ended = train(tmp_path, *FEW, *RECIPES["ema"], fault=ClosedOutput())
    assert ended.code == 0
    assert_same_run(only_run(tmp_path), references["ema"])
    assert "final test accuracy" in (only_run(tmp_path) / "run.log").read_text(encoding="utf-8")
