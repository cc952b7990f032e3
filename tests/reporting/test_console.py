"""What the console prints, and what it writes to the log."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mnist_lite.errors import MachineError
from mnist_lite.reporting.console import Console


def logged(path: Path) -> list[str]:
    """The lines of a log without their times."""
    return [line.partition(" ")[2] for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_before_the_log_are_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    console = Console()
    console.line("early")
    console.log_to(tmp_path / "run.log")
    console.line("late")
    console.log("for the log only")
    console.close()
    assert logged(tmp_path / "run.log") == ["early", "late", "for the log only"]
    assert capsys.readouterr().out == "early\nlate\n"


def test_a_console_for_one_run_of_many_prints_nothing_and_reports_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    calls: list[tuple[float, int, float | None]] = []
    console = Console(lambda *progress: calls.append(progress))
    console.log_to(tmp_path / "run.log")
    console.start_epoch(1, 2, 5)
    console.show_step(5, [])
    console.show_step(5, [{"test/accuracy": 98.5}])
    console.start_epoch(2, 2, 5)
    console.show_step(7, [])
    console.line("a line")
    console.warn("a warning")
    console.close()
    assert calls == [(0.5, 1, None), (0.5, 1, 98.5), (0.7, 2, 98.5)]
    assert capsys.readouterr() == ("", "")
    assert {"a line", "a warning"} <= set(logged(tmp_path / "run.log"))


def test_a_log_that_cannot_be_opened_is_a_machine_error(tmp_path: Path):
    with pytest.raises(MachineError, match="cannot write"):
        Console().log_to(tmp_path)


def test_control_characters_reach_neither_the_terminal_nor_the_log(tmp_path: Path, capsys):
    """They may come from the name of a run, from a file or from the message of another package."""
    with closing(Console()) as console:
        console.line("name \x1b[2J")
        console.line(lambda width: f"made \x9b31m {width}")
        console.warn("warning \u202e\r")
        console.log_to(tmp_path / "run.log")
        console.log("log \x1b]0;title\x07 \udcff")
    output, errors = capsys.readouterr()
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    for text in (output, errors, log):
        assert not any(sign in text for sign in "\x1b\x9b\x07\u202e\r\udcff")
    assert r"name \x1b[2J" in output and r"made \x9b31m" in output and r"warning \u202e\r" in errors
    assert r"name \x1b[2J" in log and r"log \x1b]0;title\x07 \udcff" in log
