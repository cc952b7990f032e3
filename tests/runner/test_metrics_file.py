"""``metrics.jsonl``: what is a row, and what a resumed run finds again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnist_lite.errors import UserError
from mnist_lite.files import BadFileError
from mnist_lite.runner.metrics_file import (
    EVALUATION_KEYS,
    METRICS,
    STEP_KEYS,
    MetricsFile,
    parse_row,
    parse_rows,
    read_evaluations,
)
from mnist_lite.training.step_metrics import Row


def step_row(step: int) -> Row:
    return {**dict.fromkeys(sorted(STEP_KEYS), 0.5), "step": step, "epoch": 1}


def evaluation_row(step: int) -> Row:
    return {**dict.fromkeys(sorted(EVALUATION_KEYS), 0.5), "step": step, "epoch": 1, "epoch_end": True}


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
    with pytest.raises(BadFileError):
        parse_row(line.encode())


def test_a_number_that_is_not_finite_is_not_written(file: MetricsFile):
    with pytest.raises(ValueError):
        file.append([{**step_row(4), "lr": float("nan")}])


def test_restore_replaces_the_content_and_later_rows_follow(file: MetricsFile, tmp_path: Path):
    saved = file.text
    file.append([step_row(4)])
    file.close()
    (tmp_path / METRICS).write_text("damaged {")
    again = MetricsFile(tmp_path)
    again.restore(saved)
    again.append([step_row(5)])
    again.flush()
    assert parse_rows(again.text) == [*ROWS, step_row(5)]
    assert (tmp_path / METRICS).read_text() == again.text
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]


def test_rows_of_a_stranger_are_one_line():
    with pytest.raises(UserError, match="the checkpoint does not fit the run: "):
        parse_rows('{"step": 1}\n')
