"""Closed standard streams, and streams without a reader, change neither the work nor the exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import QUICK

TRAIN = ("train", "model=era4", *QUICK)
SWEEP = ("train", "-m", "model=era4", *QUICK, "seed=1,2", "sweep.dir=sweep")
COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "train": (TRAIN, 0),
    "sweep": (SWEEP, 0),
    "summary": (("summary",), 0),
    "help": (("train", "--help"), 0),
    "bad input": (("train", "epochs=x"), 2),
    "help of compare": (("compare", "--help"), 0),
    "bad input of compare": (("compare", "nowhere"), 2),
}
CLOSED = {"output": ">&-", "errors": "2>&-", "both": ">&- 2>&-", "all three": "<&- >&- 2>&-"}


def run(folder: Path, words: tuple[str, ...], redirections: str) -> tuple[int, str, str]:
    """Runs a command with ``redirections`` of a shell. Returns exit code, output and errors."""
    command = f'exec "$0" -m "mnist_lite.$@" {redirections}'
    shell = ["bash", "-c", command, sys.executable, *words]
    done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def run_without_readers(folder: Path, words: tuple[str, ...], *streams: str) -> tuple[int, str]:
    """Runs a command whose ``streams`` have no reader. Returns the exit code, and the text of a stream with a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    other = "stdout" if streams == ("stderr",) else "stderr"
    options = {name: writer if name in streams else subprocess.PIPE for name in ("stdout", "stderr")}
    process = subprocess.Popen(
        [sys.executable, "-m", f"mnist_lite.{words[0]}", *words[1:]],
        cwd=folder,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    os.close(writer)
    texts = dict(zip(("stdout", "stderr"), process.communicate(timeout=120), strict=True))
    return process.returncode, texts[other] or ""


def summaries(folder: Path) -> int:
    return len(list(folder.rglob("summary.json")))


SLOW = ("train", "sweep", "summary")
CASES = [
    *[("train", "errors"), ("train", "all three"), ("sweep", "both"), ("summary", "output")],
    *((name, how) for name in COMMANDS for how in CLOSED if name not in SLOW),
]


@pytest.mark.parametrize(("name", "how"), CASES)
def test_streams_that_are_closed_from_the_start(name: str, how: str, tmp_path: Path):
    words, code = COMMANDS[name]
    actual, output, errors = run(tmp_path, words, CLOSED[how])
    assert actual == code, output + errors
    if code == 0:
        assert errors == ""  # also not the text of the other stream
    assert summaries(tmp_path) == {"train": 1, "sweep": 2}.get(name, 0)
    for path in tmp_path.rglob(
        "metrics.jsonl"
    ):  # the first file that is opened could get the number of the closed stream
        for line in path.read_text(encoding="utf-8").splitlines():
            assert line.startswith('{"step": ') and line.endswith("}")


GONE = [("stdout",), ("stderr",), ("stdout", "stderr")]


@pytest.mark.parametrize(
    ("name", "streams"),
    [
        *((name, streams) for name in COMMANDS for streams in GONE if name not in SLOW),
        ("train", ("stderr",)),
        ("summary", ("stdout",)),
    ],
)
def test_streams_whose_reader_is_gone(name: str, streams: tuple[str, ...], tmp_path: Path):
    words, code = COMMANDS[name]
    actual, text = run_without_readers(tmp_path, words, *streams)
    assert actual == code, text
    assert "Traceback" not in text and "Exception ignored" not in text
    assert summaries(tmp_path) == {"train": 1, "sweep": 2}.get(name, 0)


def test_a_sweep_and_its_comparison_with_a_reader_of_one_line(tmp_path: Path):
    """``mnist-lite train ... | head -1`` in a shell."""
    train = '"$0" -m "mnist_lite.$@" | head -1; echo "exit $?"'
    script = f'set -o pipefail; {train}; "$0" -m mnist_lite.compare sweep | head -1; echo "exit $?"'
    shell = ["bash", "-c", script, sys.executable, *SWEEP]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("sweep of 2 jobs") and [lines[1], lines[3]] == ["exit 0", "exit 0"], lines
    assert (tmp_path / "sweep" / "sweep.csv").is_file() and summaries(tmp_path) == 2


def test_with_pythonunbuffered_each_line_is_written_at_once(tmp_path: Path):
    """``os._exit`` flushes no buffers. A carriage return ends a line too: the progress bar uses it."""
    code = (
        "import os, sys; from mnist_lite.process.startup import keep_streams_usable; keep_streams_usable(); "
        "print('line'); sys.stderr.write('bar\\r'); os._exit(0)"
    )
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"line\n", b"bar\r")
