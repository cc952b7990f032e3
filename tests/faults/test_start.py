"""Ctrl-C before a run has begun: while Python imports modules, Hydra composes a config, or a sweep starts its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnist_lite.process.stop_request import NOTICE
from tests.faults.child import default_signals
from tests.faults.recipes import FEW

TRAIN = ("train", *FEW, "model=era4", "epochs=1000")
COMMANDS = {
    "train": TRAIN,
    "sweep": ("train", "-m", *TRAIN[1:], "seed=1,2", "sweep.dir=sweep"),
    "summary": ("summary",),
}
DELAYS = (0.0, 0.2, 0.5, 1.0)  # seconds; after longer delays a fast machine trains, which is tested elsewhere
SHORT_CASES = (("train", 0.0), ("train", 0.5), ("sweep", 0.5), ("summary", 0.2))
# Runs a command that prints a line when its ``main`` begins: before that, Python itself handles signals.
CODE = """
import runpy, sys
from mnist_lite.process import startup

begin = startup.begin
startup.begin = lambda: (begin(), print("begun", flush=True))
module = sys.argv.pop(1)
sys.argv[0] = module
runpy.run_module("mnist_lite." + module, run_name="__main__")
"""


def started(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a terminal starts it. Its ``main`` has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=default_signals,  # noqa: PLW1509  nothing but signal.signal is called there
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize(
    ("name", "delay"),
    [
        pytest.param(name, delay, marks=[] if (name, delay) in SHORT_CASES else pytest.mark.long)
        for name in COMMANDS
        for delay in DELAYS
    ],
)
def test_ctrl_c_after_the_start_is_one_line(name: str, delay: float, tmp_path: Path):
    process = started(tmp_path, COMMANDS[name])
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    if name == "summary" and "parameters" in output:
        return  # it ended before the signal came
    lines = [line for line in errors.splitlines() if line and line != NOTICE]
    assert (process.returncode, lines) == (130, ["stopped by SIGINT"])
    saved = "resume=" in output or "sweep.dir=" in output  # on a fast machine the run has begun
    assert saved or not list(tmp_path.rglob("*")), output


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path: Path):
    process = subprocess.Popen(
        ["bash", "-c", 'trap "" INT; exec "$0" -c "$@"', sys.executable, CODE, "summary"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "parameters" in output


IMPORTS = """
import sys
from mnist_lite import bench, compare, summary, train

assert not {"hydra", "omegaconf", "matplotlib", "torch", "numpy", "yaml", "filelock", "tqdm"} & set(sys.modules)
"""


def test_commands_import_nothing_slow_before_main():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
