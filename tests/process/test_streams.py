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


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UNICODE_LAYER = "layers: [{conv: 10}, global_avg_pool]\nbudget: {parameters: 5}\n"


def python(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", f"mnist_lite.{words[0]}", *words[1:]]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("summary", "epochs=\x1b[31m"), rb"\x1b[31m"),
        (("summary", "model=\x9bm"), rb"\x9bm"),
        (("compare", "a\x1b]0;title\x07"), rb"\x1b]0;title\x07"),
        (("\x1b[2J",), rb"\x1b[2J"),
        (("summary", "--cfg", "job", "name='\u202ea'"), rb"\u202ea"),
    ],
)
def test_control_characters_of_the_command_line_do_not_reach_the_terminal(words, expected, tmp_path: Path):
    if len(words) == 1:
        words = ("__main__", *words)
    done = python(tmp_path, *words, PYTHONUTF8="1")
    text = done.stdout + done.stderr
    assert expected in text
    assert not any(sign in text.decode() for sign in "\x1b\x07\x9b\u202e")


def test_control_characters_of_file_names_do_not_reach_the_terminal(tmp_path: Path):
    folder = tmp_path / "mine" / "model"
    folder.mkdir(parents=True)
    for name in ("\x1b[2J", "\u202ea"):
        (folder / f"{name}.yaml").write_text(f"# {name}\n{UNICODE_LAYER}", encoding="utf-8")
    for words in (("--help",), ("model=nothing",)):
        done = python(tmp_path, "summary", "--config-dir", "mine", *words, PYTHONUTF8="1")
        text = (done.stdout + done.stderr).decode()
        assert r"\x1b[2J" in text and r"\u202ea" in text
        assert not any(sign in text for sign in "\x1b\u202e")


@pytest.mark.parametrize("words", [("--help",), ("model=tiny",), ("model=nothing",), ("--cfg", "job", "model=tiny")])
def test_text_that_an_ascii_terminal_cannot_show_is_escaped(words, tmp_path: Path):
    folder = tmp_path / "mine" / "model"
    folder.mkdir(parents=True)
    text = f"# größer ≥ 日本\nnote: größer\n{UNICODE_LAYER}"
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    done = python(tmp_path, "summary", "--config-dir", "mine", *words, **ASCII)
    assert done.returncode == (2 if words == ("model=nothing",) else 0), done.stderr
    assert b"Traceback" not in done.stderr and done.stdout.isascii() and done.stderr.isascii()


def test_a_run_on_an_ascii_terminal_writes_utf_8_files(tmp_path: Path):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text("# @package _global_\nname: größer 日本\n", encoding="utf-8")
    done = python(tmp_path, "train", "--config-dir", "mine", "experiment=own", "model=era4", *QUICK, **ASCII)
    assert done.returncode == 0, done.stderr
    (run_folder,) = (tmp_path / "runs").iterdir()
    assert "größer 日本" in (run_folder / "config.yaml").read_text(encoding="utf-8")


def test_a_sweep_imports_nothing_from_the_current_folder(tmp_path: Path):
    """``-c`` and ``-m`` put the current folder on Python's path. Workers are started with ``-c``."""
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 has no option for this")
    (tmp_path / "multiprocessing.py").write_text("open('it-ran', 'w').close()\n", encoding="utf-8")
    start = "import sys; sys.path.remove(''); from mnist_lite.__main__ import main; main()"
    words = [sys.executable, "-c", start, *SWEEP]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert summaries(tmp_path) == 2 and not (tmp_path / "it-ran").exists()
