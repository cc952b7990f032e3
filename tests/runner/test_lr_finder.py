"""``optimizer.lr=auto``: the run stores the number, and a resumed run keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_lite.config.schema import Config
from mnist_lite.errors import RunError, UserError
from mnist_lite.reporting import png
from mnist_lite.runner import lr_finder, run
from mnist_lite.runner.lr_finder import find_lr
from mnist_lite.training.lr_range import RangeTest
from mnist_lite.training.trainer import Trainer
from tests.conftest import QUICK, Compose
from tests.sweeps import inline

AUTO = (*QUICK, "model=era4", "optimizer=sgd", "optimizer.lr=auto", "scheduler=onecycle", "threads=1")


@pytest.fixture(autouse=True)
def short_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` tries 50 steps, and no picture is drawn: both take seconds."""
    monkeypatch.setattr(lr_finder, "RangeTest", lambda: RangeTest(1e-4, 1.0, 50))
    monkeypatch.setattr(png, "draw", lambda _make: b"\x89PNG")


@pytest.fixture
def config(composed: Compose, tmp_path: Path) -> Config:
    return composed(*AUTO, f"runs_dir={tmp_path / 'runs'}")


def stored_config(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return values


def test_the_config_of_the_run_has_the_number(config, tmp_path, capsys):
    expected = find_lr(config, RangeTest(1e-4, 1.0, 50))[0].steepest
    assert run.run(config) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    stored = stored_config(folder)
    assert stored["optimizer"]["lr"] == stored["scheduler"]["max_lr"] == expected
    assert (
        f"optimizer.lr=auto: {expected:g}. A range test of 50 steps suggests: steepest slope" in capsys.readouterr().out
    )
    assert f"optimizer.lr=auto: {expected:g}." in (folder / "run.log").read_text(encoding="utf-8")


def test_a_word_that_is_not_auto_names_auto(composed, tmp_path):
    """Only training understands ``auto``, so only training names it."""
    with pytest.raises(UserError, match=r"optimizer.lr: 'aut' is not allowed; expected a finite number or auto$"):
        run.run(composed(*AUTO, "optimizer.lr=aut", f"runs_dir={tmp_path / 'runs'}"))
    assert not (tmp_path / "runs").exists()


def test_the_run_is_that_with_the_number_on_the_command_line(config, composed, tmp_path):
    """The range test leaves no trace: not in the weights, and not in the random numbers."""
    rate = find_lr(config, RangeTest(1e-4, 1.0, 50))[0].steepest
    other = composed(*AUTO, f"optimizer.lr={rate}", f"runs_dir={tmp_path / 'other'}")
    assert run.run(config) == run.run(other) == 0
    metrics = [
        [
            line
            for line in next(path.iterdir()).joinpath("metrics.jsonl").read_text().splitlines()
            if "test/" not in line
        ]
        for path in (tmp_path / "runs", tmp_path / "other")
    ]
    assert metrics[0] == metrics[1] and len(metrics[0]) == 2


def test_a_loss_that_does_not_fall_fails_before_there_is_a_folder(config, tmp_path, monkeypatch):
    monkeypatch.setattr(lr_finder, "RangeTest", lambda: RangeTest(1e-9, 1e-8, 50))
    with pytest.raises(RunError, match="did not fall"):
        run.run(config)
    assert not (tmp_path / "runs").exists()


def test_in_a_sweep_each_job_finds_its_own_number_once(tmp_path, monkeypatch):
    arguments = ("-m", *AUTO, "seed=0,1", f"sweep.dir={tmp_path / 'sweep'}")
    code, text = inline.train(tmp_path, *arguments)
    assert code == 0, text
    folders = sorted(path for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    rates = [stored_config(folder)["optimizer"]["lr"] for folder in folders]
    assert len(rates) == 2 and all(isinstance(rate, float) for rate in rates)
    monkeypatch.setattr(lr_finder, "find_lr", lambda *_: pytest.fail("there is nothing left to run"))
    code, text = inline.train(tmp_path, *arguments)
    assert code == 0 and "2 done" in text, text


def test_a_resumed_job_of_a_sweep_keeps_its_number(config, tmp_path, monkeypatch):
    """A sweep resumes a job with the config of the sweep, which still says ``auto``."""
    short = replace(config, scheduler={"name": "ConstantLR", "interval": "epoch", "factor": 1.0, "total_iters": 0})
    assert run.run(short) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    rate = stored_config(folder)["optimizer"]["lr"]
    monkeypatch.setattr(lr_finder, "find_lr", lambda *_: pytest.fail("the number is in the checkpoint"))
    assert run.run(replace(short, epochs=2, resume=str(folder))) == 0
    assert stored_config(folder)["optimizer"]["lr"] == rate and stored_config(folder)["epochs"] == 2


def test_short_epochs_are_not_evaluated(composed, tmp_path, monkeypatch):
    """An epoch of 25 images has one step. To measure 360 test images after each step took most of the time."""
    measured, evaluate = [], Trainer.evaluate

    def recorded(self, split):
        measured.append(len(split))
        return evaluate(self, split)

    monkeypatch.setattr(Trainer, "evaluate", recorded)
    config = composed(*AUTO, "data.train_limit=30", "data.holdout=10", "batch_size=30")
    curve, parts = find_lr(config, RangeTest(1e-4, 1.0, 50))
    assert len(curve.rates) > 40 and len(parts.data.test) > 1
    assert set(measured) <= {1}
