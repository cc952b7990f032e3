"""Closed streams: a command does its work, and its exit code is the same, whoever reads what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FEW = (
    "data=digits data.train_limit=100 data.test_limit=50 epochs=1 batch_size=50 model=era4 scheduler=constant threads=1"
)
COMMANDS = {
    "train": f"mnist_lite.train {FEW}",
    "sweep": f"mnist_lite.train -m {FEW} seed=1,2 sweep.dir=sweep",
    "help": "mnist_lite.train --help",
    "summary": "mnist_lite.summary model=step3",
    "bad input": "mnist_lite.train epochs=x",
}
CLOSED = {
    "stdout closed": '"$0" -m {} >&-',
    "stderr closed": '"$0" -m {} 2>&-',
    "all closed": '"$0" -m {} <&- >&- 2>&-',
    "reader of nothing": '"$0" -m {} 2>&1 | head -c 0',
    "reader of one line": '"$0" -m {} 2> err | head -1',
}


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """``line`` in bash, with the exit code of its first command."""
    return subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}", sys.executable],
        cwd=folder,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("how", CLOSED)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_stream_changes_nothing(name: str, how: str, tmp_path: Path):
    done = shell(CLOSED[how].format(COMMANDS[name]), tmp_path)
    errors = tmp_path / "err"
    said = done.stderr + (errors.read_text() if errors.exists() else "")
    assert done.returncode == (2 if name == "bad input" else 0), said
    assert "Traceback" not in said and "BrokenPipe" not in said and "Exception ignored" not in said
    runs = list(tmp_path.rglob("summary.json"))
    assert len(runs) == {"train": 1, "sweep": 2}.get(name, 0)
    for run in runs:  # nothing that was printed went into a file that got the number of a closed stream
        lines = (run.parent / "metrics.jsonl").read_text().splitlines()
        assert len(lines) == 3 and all(line.startswith("{") for line in lines)


def test_compare_with_a_reader_that_goes_away(tmp_path: Path):
    assert shell(f'"$0" -m {COMMANDS["sweep"]}', tmp_path).returncode == 0
    for how in ("stdout closed", "reader of nothing"):
        done = shell(CLOSED[how].format("mnist_lite.compare sweep"), tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
