"""``metrics.jsonl``: what is a row, and what a resumed run finds again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnist_lite.runner.metrics_file import EVALUATION_KEYS, METRICS, STEP_KEYS, MetricsFile, parse_row, read_evaluations
from mnist_lite.training.step_metrics import Row


def step_row(step: int) -> Row:
    return {**dict.fromkeys(STEP_KEYS, 0.5), "step": step, "epoch": 1}


def evaluation_row(step: int) -> Row:
    return {**dict.fromkeys(EVALUATION_KEYS, 0.5), "step": step, "epoch": 1, "epoch_end": True}


ROWS = [step_row(1), step_row(2), evaluation_row(2), step_row(3)]


@pytest.fixture
def file(tmp_path: Path) -> MetricsFile:
    file = MetricsFile(tmp_path)
    file.append(ROWS)
    file.flush()
    return file


def test_rows_are_read_as_they_were_written(file: MetricsFile, tmp_path: Path):
    rows = [parse_row(line) for line in (tmp_path / METRICS).read_bytes().splitlines()]
    assert rows == ROWS
    assert [(type(row["step"]), type(row["lr"])) for row in rows] == [(int, float)] * 4
    assert rows[2]["epoch_end"] is True
    assert read_evaluations(tmp_path) == [ROWS[2]]


@pytest.mark.parametrize(
    "line", ["", "[]", "x", '{"step": 1}', json.dumps({**step_row(1), "lr": "a"}), '{"step": NaN}']
)
def test_other_lines_are_no_rows(line: str):
    with pytest.raises(ValueError):
        parse_row(line.encode())


def test_a_number_that_is_not_finite_is_not_written(file: MetricsFile):
    with pytest.raises(ValueError):
        file.append([{**step_row(4), "lr": float("nan")}])


def test_a_position_knows_the_rows_before_it(file: MetricsFile, tmp_path: Path):
    position = file.sync()
    assert file.problem(position) is None
    file.append([step_row(4)])
    file.flush()
    assert file.problem(position) is None  # later rows do not matter
    content = (tmp_path / METRICS).read_bytes()
    for changed in (content.replace(b"0.5", b"0.6", 1), content[: position["bytes"] - 1], b""):
        (tmp_path / METRICS).write_bytes(changed)
        assert file.problem(position) is not None


def test_truncate_goes_back_to_a_position_and_goes_on_from_there(file: MetricsFile, tmp_path: Path):
    position = file.sync()
    file.append([step_row(4)])
    file.close()
    again = MetricsFile(tmp_path)
    assert again.truncate(position["bytes"]) == ROWS
    again.append([step_row(5)])
    end = again.sync()
    assert again.problem(end) is None and end["bytes"] == (tmp_path / METRICS).stat().st_size


def test_salvage_keeps_what_can_be_read_and_is_in_order(file: MetricsFile, tmp_path: Path):
    file.close()
    lines = [json.dumps(row) for row in (ROWS[0], ROWS[0], ROWS[1], ROWS[2])]
    damaged = "\n".join([*lines, "torn {", json.dumps(step_row(7)), json.dumps(step_row(3)), json.dumps(step_row(9))])
    (tmp_path / METRICS).write_text(damaged)
    again = MetricsFile(tmp_path)
    assert again.salvage(last_step=7) == [*ROWS[:3], step_row(7)]
    assert (tmp_path / f"{METRICS}.damaged").read_text() == damaged
    again.append([step_row(8)])
    assert again.problem(again.sync()) is None
    assert [parse_row(line)["step"] for line in (tmp_path / METRICS).read_bytes().splitlines()] == [1, 2, 2, 7, 8]
