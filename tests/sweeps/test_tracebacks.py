"""An internal error of a sweep keeps its traceback. An error of the user or of a config file is one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import pytest
from hydra.core.plugins import Plugins

from tests.sweeps.commands import JOB
from tests.sweeps.inline import RunInline

GRID = ("-m", *JOB, "epochs=1", "scheduler=constant", "seed=1,2")
SEARCH = (*GRID[:-1], "hydra/sweeper=optuna", "data.holdout=50", "optimizer.lr=interval(0.01,0.1)")


def broken(*_arguments: object, **_more: object) -> NoReturn:
    raise ZeroDivisionError("made for the test")


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("mnist_lite.sweeps.grid.Grid.__init__", GRID),
        ("mnist_lite.sweeps.grid.known_folders", GRID),
        ("mnist_lite.sweeps.run_local.default_workers", GRID),
        ("mnist_lite.sweeps.table.as_text", (*GRID, "optimizer.lr=-1")),
        ("mnist_lite.sweeps.search.Search.__init__", SEARCH),
        ("mnist_lite.sweeps.search.Search.batches", (*SEARCH, "hydra/launcher=basic")),
        ("mnist_lite.sweeps.search_space.parse_space", SEARCH),
    ],
)
def test_an_internal_error_is_raised(
    function: str, arguments: tuple[str, ...], run_inline: RunInline, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(function, broken)
    with pytest.raises(ZeroDivisionError, match="made for the test"):
        run_inline(*arguments)


def test_an_internal_error_of_a_job_by_another_launcher_is_a_failure_with_a_traceback(
    run_inline: RunInline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Hydra's launchers do not report what a job raised, so the sweep would end with exit code 0."""
    monkeypatch.setattr("mnist_lite.training.trainer.Trainer.fit", broken)
    code, text = run_inline(*GRID, "hydra/launcher=basic")
    assert code != 0 and text.count("FAILED  ") == 2, text
    assert "internal error: ZeroDivisionError: made for the test" in text and "2 failed" in text
    errors = [path.read_text() for path in tmp_path.glob("sweep/*/error.txt")]
    assert len(errors) == 2
    assert all("Traceback (most recent call last)" in error and "in broken" in error for error in errors)


def test_a_launcher_that_fails_keeps_its_traceback_and_the_sweep_keeps_its_table(
    run_inline: RunInline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    Plugins.instance()  # imports the modules of all launchers
    monkeypatch.setattr(sys.modules["hydra._internal.core_plugins.basic_launcher"], "run_job", broken)
    code, text = run_inline(*SEARCH, "hydra/launcher=basic", "hydra.sweeper.n_trials=2")
    assert code == 1, text
    assert "in broken" in text
    assert any(
        line.startswith("error: the launcher has ") and "made for the test" in line for line in text.splitlines()
    )
    assert (tmp_path / "sweep" / "sweep.json").is_file()


@pytest.mark.parametrize("arguments", [GRID, ("-m", *JOB)])
def test_a_config_that_cannot_be_composed_is_one_line_for_each_job(
    arguments: tuple[str, ...], run_inline: RunInline, tmp_path: Path
):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "mine.yaml").write_text("layers: &a [*a]\n")
    code, text = run_inline("--config-dir=mine", *arguments, "model=mine,mine")
    assert code != 0 and "Traceback" not in text, text
    assert all("contains itself" in line for line in text.splitlines()), text
