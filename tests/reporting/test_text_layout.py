"""Output fits the terminal: every width from 60 to 140 for the functions, a few on a real pseudo-terminal for the commands."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from mnist_lite.model.build import build
from mnist_lite.reporting import layer_table, text_layout
from mnist_lite.reporting.progress_text import bar_format, bar_postfix, epoch_line
from mnist_lite.sweeps.progress import describe_progress
from tests.published import NOTATION

WIDTHS = range(60, 141)
FEW = ("data=digits", "data.train_limit=200", "data.test_limit=50", "batch_size=20", "epochs=14", "model=step3")


def longest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


@pytest.mark.parametrize("name", NOTATION)
def test_the_layer_table_fits_and_keeps_layers_outputs_and_parameters(name, composed):
    network = build(composed(f"model={name}").model)
    full = layer_table.as_text(network)
    for width in WIDTHS:
        text = layer_table.as_text(network, width)
        assert longest(text) <= width
        for layer in network.layers:
            assert all(word in text for word in layer.text.split()) and f"{layer.parameters:,}" in f"0 {text}"
        assert f"{network.parameters:,} parameters" in text
        assert text == full or longest(full) > width
    assert "receptive" not in layer_table.as_text(network, 60) and "receptive field" in full


def test_a_long_layer_takes_two_lines(composed):
    layers = [{"repeat": 3, "name": "a_long_name_of_a_block", "layers": [{"conv": 12, "padding": 1, "bias": True}]}]
    network = build({"layers": [*layers, {"conv": 10}, "global_avg_pool"]})
    text = layer_table.as_text(network, 60)
    assert longest(text) <= 60
    assert "a_long_name_of_a_block.2:" in text and text.count("padding=1") == 3


@pytest.mark.parametrize("epochs", [1, 14, 1000])
@pytest.mark.parametrize("held", [{}, {"holdout/accuracy": 100.0}])
@pytest.mark.parametrize("lr", [4e-08, 0.01, 1.2345e-05])
def test_the_epoch_line_fits_and_keeps_accuracies_and_rate(epochs, held, lr):
    row = {"epoch": epochs, "epoch_end": True, "step": 10**6, "train/epoch_accuracy": 99.41, "train/epoch_loss": 0.02}
    row |= {
        "test/accuracy": 98.99,
        "test/loss": 0.0291,
        "lr": lr,
        "seconds/train": 3602.6,
        "seconds/eval": 10.1,
        **held,
    }
    for row_now in (row, {**row, "epoch_end": False}):
        full = epoch_line(row_now, epochs)
        for width in WIDTHS:
            line = epoch_line(row_now, epochs, width)
            assert len(line) <= width
            for word in ("99.41", "98.99", f"{lr:.2g}", *(["100.00"] if held else [])):
                assert word in line.split(), line
            assert line == full or len(full) > width
        assert "0.0291" in full and "10.1 s" in full


def test_the_epoch_line_at_sixty_columns():
    row = {"epoch": 14, "epoch_end": True, "step": 10**6, "train/epoch_accuracy": 99.41, "train/epoch_loss": 0.02}
    row |= {"test/accuracy": 98.99, "test/loss": 0.0291, "lr": 4e-08, "seconds/train": 2.6, "seconds/eval": 0.1}
    assert epoch_line(row, 14, 60) == "14/14  train  99.41 %  test  98.99 %  lr 4e-08  2.7 s"


@pytest.mark.parametrize("epochs", [9, 1000])
def test_the_bar_fits_and_keeps_accuracy_and_rate(epochs):
    row = {"train/loss": 12.345, "train/accuracy": 100.0, "lr": 1.2e-05}
    for width in WIDTHS:
        meter: dict[str, Any] = {"n": 59_999, "total": 60_000, "elapsed": 3_599, "prefix": f"epoch {epochs}/{epochs}"}
        postfix = bar_postfix(row, width)
        text = tqdm.format_meter(**meter, ncols=width, bar_format=bar_format(width), postfix=postfix)
        assert len(text) <= width
        assert "100.0" in text and "1.2e-05" in text and "100%" in text and text.endswith("]"), text
        assert ("12.345" in text) == (width >= 80)


@pytest.mark.parametrize("keys", [1, 2, 3, 6])
def test_a_sweep_table_fits_and_keeps_keys_and_accuracies(keys):
    names = ["optimizer.lr", "optimizer.weight_decay", "model.norm", "augment.degrees", "label_smoothing", "l1"][:keys]
    values = [["0.003", "0.0004735", "{ghost_batch_norm: 32}", "7.5", "0.1", "1e-05"][:keys], ["0.1"] * keys]
    heads = [*names, "final test accuracy", "deviation", "n", "95 % interval", ""]
    rows = [[*values[0], "99.25", "0.043", "5", "99.19 to 99.30", "tied for best, 1 failed"]]
    rows += [[*values[1], "98.12", "0.096", "15", "98.01 to 98.30", ""]]
    left, drop = range(keys), [heads.index("deviation")]
    full = text_layout.table(heads, rows, left, None, drop)
    for width in WIDTHS:
        lines = text_layout.table(heads, rows, left, width, drop)
        assert max(map(len, lines)) <= width
        together = " ".join(lines)
        for word in ("99.25", "98.12", "0.003", "accuracy"):
            assert word in together, lines
        assert lines == full or max(map(len, full)) > width


@pytest.mark.parametrize("count", [1, 2, 64])
def test_the_progress_of_a_sweep_fits_and_keeps_the_accuracy_of_a_job(count):
    name = "experiment=era4 optimizer.lr=0.003 optimizer.weight_decay=0.0004735 seed=1"
    for width in range(38, 141):
        text = describe_progress("118/200 jobs, 12 failed", [(name, "epoch 3 98.55 %")] * count, width)
        assert len(text) <= width or width < 45
        assert "98.55 %" in text
    assert describe_progress("0/2 jobs", [(name, "epoch 1")] * 2, None).count(name) == 2


def test_text_is_broken_at_spaces_and_commands_and_paths_are_not():
    command = "python -m mnist_lite.train resume=" + "x" * 100
    path = "run folder: /" + "y" * 100
    text = f"{'word ' * 30}\n{command}\n{path}"
    for width in WIDTHS:
        lines = text_layout.wrapped(text, width).splitlines()
        assert command in lines and any(line.split()[-1] == "/" + "y" * 100 for line in lines)
        assert all(len(line) <= width for line in lines if "word" in line)
        assert " ".join(lines).split() == text.split()
    assert text_layout.wrapped(text, None) == text


def test_the_width_is_that_of_columns_else_of_the_terminal_else_none(monkeypatch, tmp_path):
    monkeypatch.delenv("COLUMNS", raising=False)
    parent, child = pty.openpty()
    with (tmp_path / "file").open("w") as file, os.fdopen(child, "w") as terminal:
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 97, 0, 0))
        assert (text_layout.width_of(terminal), text_layout.width_of(file), text_layout.width_of(None)) == (
            97,
            None,
            None,
        )
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 20, 0, 0))
        assert text_layout.width_of(terminal) == 60
        monkeypatch.setenv("COLUMNS", "72")
        assert (text_layout.width_of(terminal), text_layout.width_of(file)) == (72, 72)
    os.close(parent)


def on_a_terminal(width: int, folder: Path, *command: str) -> tuple[int, str]:
    """Exit code and output of ``python -m mnist_lite.<command>`` on a pseudo-terminal of ``width`` columns."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"mnist_lite.{command[0]}", *command[1:]],
        cwd=folder,
        env=env,
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    text = b""
    while True:
        try:
            piece = os.read(parent, 1 << 16)
        except OSError:  # on Linux the end of a pseudo-terminal is an error
            break
        if not piece:
            break
        text += piece
    os.close(parent)
    return process.wait(60), text.decode()


def screen_lines(text: str) -> list[str]:
    """What stands between ends of lines and returns to their start, without the codes that move the cursor."""
    return [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", text)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the end of a pseudo-terminal as Linux gives it")
@pytest.mark.parametrize("width", [60, 80])
def test_a_run_fits_its_terminal(width: int, tmp_path: Path):
    code, text = on_a_terminal(width, tmp_path, "train", *FEW, "runs_dir=r")
    assert code == 0, text
    lines = screen_lines(text)
    assert max(map(len, lines)) <= width, max(lines, key=len)
    epochs = [line for line in lines if re.search(r"\b\d+/14\b.* test +[\d.]+", line)]
    assert len(epochs) == 14 and all(" lr " in line for line in epochs), lines
    assert any(re.search(r"\b0%", line) for line in lines), lines  # each epoch's bar starts without figures
    bars = [line for line in lines if re.search(r"\d%.*loss ", line)]  # none if the epochs are too short
    assert all(re.search(r"acc.*lr", line) for line in bars), bars
    (folder,) = (tmp_path / "r").iterdir()
    assert "receptive field" in (folder / "model.txt").read_text(encoding="utf-8")
    log = (folder / "run.log").read_text(encoding="utf-8")
    assert "receptive field" in log and log.count("   lr ") == 14


@pytest.mark.skipif(sys.platform != "linux", reason="reads the end of a pseudo-terminal as Linux gives it")
def test_a_sweep_fits_its_terminal(tmp_path: Path):
    words = ["-m", "optimizer.lr=0.003,0.03", "seed=1,2", "scheduler=constant", "sweep.dir=s", "sweep.workers=2"]
    code, text = on_a_terminal(60, tmp_path, "train", *FEW, "epochs=3", *words)
    assert code == 0, text
    lines = [line for line in screen_lines(text) if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 60, max(lines, key=len)
    assert any("0.003" in line and re.search(r"\d\d\.\d\d", line) for line in lines)
    assert any("epoch" in line and "jobs" in line for line in lines), lines


def test_control_characters_in_tables_and_lines_are_escaped_before_the_width_is_measured():
    for width in (None, 60):
        lines = text_layout.table(["name\x1b[2J", "n"], [["a\x9bm", "1"], ["\u202eb", "2"]], [0], width)
        assert lines == ["name\\x1b[2J  n", "-" * 14, "a\\x9bm       1", "\\u202eb      2"]
        assert text_layout.wrapped("x\x07y", width) == "x\\x07y"
