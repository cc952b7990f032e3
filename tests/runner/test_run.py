from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
import yaml
from matplotlib.image import imread

from mnist_lite.config.schema import Config
from mnist_lite.errors import RunError, UserError
from mnist_lite.model.build import build
from mnist_lite.reporting import curves
from mnist_lite.reporting.png import DrawingError
from mnist_lite.runner import run, setup, summary
from mnist_lite.runner.checkpoint import Best, Checkpoint
from mnist_lite.runner.run_format import FORMAT
from mnist_lite.training.trainer import Trainer
from tests.conftest import Compose

# On a busy machine a run can take longer than the 10 s between checkpoints.
FEW = ("data=digits", "data.train_limit=200", "data.test_limit=100", "epochs=3", "batch_size=50", "model=era4")
QUICK = (*FEW, "checkpoint.seconds=1000")


@pytest.fixture
def quick(composed: Compose, tmp_path: Path) -> Config:
    return composed(*QUICK, f"runs_dir={tmp_path / 'runs'}", "name=quick")


def only_folder(config: Config) -> Path:
    (folder,) = Path(config.runs_dir).iterdir()
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_folder_has_all_files(quick, capsys):
    assert run.run(quick) == 0
    folder = only_folder(quick)
    names = {
        ".lock",
        "config.yaml",
        "metrics.jsonl",
        "summary.json",
        "model.txt",
        "curves.png",
        "last.pt",
        "best.pt",
        "run.log",
    }
    assert {path.name for path in folder.iterdir()} == names
    assert folder.name.endswith("_quick")

    rows = rows_of(folder)
    steps = [row for row in rows if "train/loss" in row]
    ends = [row for row in rows if "test/loss" in row]
    assert (len(steps), len(ends)) == (12, 3)

    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    test = [row["test/accuracy"] for row in ends]
    train = [row["train/epoch_accuracy"] for row in ends]
    for split, values in (("test", test), ("train", train)):
        assert summary["accuracy"][split] == {
            "first_epoch": values[0],
            "final": values[-1],
            "best": max(values),
            "best_epoch": values.index(max(values)) + 1,
            "mean_last_5": None,  # of three epochs there is none
            **({"by_epoch": values} if split == "test" else {}),
        }
    assert summary["budget"]["met"] is None  # digits are not MNIST
    assert (summary["parameters"], summary["epochs"], summary["steps"], summary["seed"]) == (7838, 3, 12, 0)
    assert summary["data"]["name"] == "digits"
    assert summary["seconds"]["train"] == pytest.approx(sum(row["seconds/train"] for row in ends))
    assert summary["versions"]["torch"] == str(torch.__version__)
    assert summary["device"].startswith("cpu")
    assert {"git", "threads", "budget"} <= set(summary)
    assert summary["format"] == FORMAT

    assert "7,838 parameters" in (folder / "model.txt").read_text(encoding="utf-8")
    saved = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert saved["format"] == FORMAT and saved["epochs"] == 3 and saved["model"]["layers"][3] == {"dropout": 0.05}
    assert imread(folder / "curves.png").shape[0] > 500

    printed = capsys.readouterr()
    assert re.search(
        r"final test accuracy \d+\.\d\d % on 100 test images of digits \(NOT MNIST\), 7,838 parameters", printed.out
    )
    assert "[not judged] >= 99.4 % test accuracy" in printed.out and "mean of the last" not in printed.out
    assert str(folder / "curves.png") in printed.out
    assert "\r" not in printed.err + printed.out  # no terminal, no bar
    log = (folder / "run.log").read_text(encoding="utf-8")
    assert "final test accuracy" in log and "7,838 parameters" in log


def test_checkpoints_hold_the_networks_of_their_rows(quick):
    run.run(quick)
    folder = only_folder(quick)
    ends = [row for row in rows_of(folder) if "test/loss" in row]
    best = torch.load(folder / "best.pt", weights_only=True)
    last = torch.load(folder / "last.pt", weights_only=True)
    assert best["row"]["test/accuracy"] == max(row["test/accuracy"] for row in ends)
    assert last["epoch"] == 3 and last["step"] == 12
    assert set(last) == {*Checkpoint.__required_keys__}
    assert set(best) == {*Best.__required_keys__, "format", "config"}
    assert last["format"] == best["format"] == FORMAT
    from mnist_lite.data import dataset

    loaded = dataset.load(quick.data)
    module = build(last["config"]["model"]).module
    for state, row in ((last, ends[-1]), (best, best["row"])):
        module.load_state_dict(state["model"])
        module.eval()
        with torch.no_grad():
            logits = module((loaded.test.images.float() / 255 - loaded.mean) / loaded.std)
        right = (logits.argmax(1) == loaded.test.labels).float().mean()
        assert 100 * float(right) == pytest.approx(row["test/accuracy"])


def test_best_is_chosen_on_the_holdout_when_there_is_one(composed, tmp_path, capsys):
    config = composed(*QUICK, f"runs_dir={tmp_path}", "name=held", "data.holdout=100")
    run.run(config)
    folder = only_folder(config)
    ends = [row for row in rows_of(folder) if "test/loss" in row]
    chosen = max(ends, key=lambda row: (row["holdout/accuracy"], -row["epoch"]))
    assert torch.load(folder / "best.pt", weights_only=True)["row"]["epoch"] == chosen["epoch"]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["accuracy"]["selected"] == {"epoch": chosen["epoch"], "test": chosen["test/accuracy"]}
    assert "the best on the held-out images" in capsys.readouterr().out


def test_bad_input_leaves_nothing_behind(composed, tmp_path):
    for bad in (
        "optimizer.lr=-1",
        "model.layers=[relu]",
        "data.holdout=5000",
        "scheduler.total_steps=3",
        "device=cuda:99",
    ):
        config = composed(*QUICK, f"runs_dir={tmp_path / 'runs'}", bad)
        with pytest.raises(UserError):
            run.run(config)
    assert not (tmp_path / "runs").exists()


def test_a_bad_config_is_found_before_the_data_is_read(composed, tmp_path, monkeypatch):
    def touched(*_args: object) -> None:
        raise AssertionError("the data was touched")

    monkeypatch.setattr(setup, "load", touched)
    for bad in (
        "optimizer.lr=-1",
        "model.layers=[relu]",
        "scheduler.total_steps=3",
        "device=cuda:99",
        "augment.transforms=[rotat]",
    ):
        with pytest.raises(UserError):
            run.run(composed(*QUICK, f"runs_dir={tmp_path}", bad))


def test_missed_budget_is_an_exit_code_only_when_enforced(composed, tmp_path, capsys):
    budgets = ("budget.accuracy=100", "budget.last_epochs=2", "budget.accuracy_on=any")
    enforced = ("budget.accuracy=1", "budget.enforce=true")
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path / 'a'}", *budgets)) == 0
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path / 'b'}", *budgets, "budget.enforce=true")) == 1
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path / 'c'}", *enforced, "budget.accuracy_on=any")) == 0
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path / 'd'}", *enforced)) == 1  # digits: it cannot be judged
    output, errors = capsys.readouterr()
    assert "[MISSED] >= 100 % test accuracy in each of the last 2 epochs" in output
    reasons = ("the budget is missed, and budget.enforce=true", "the budget is not judged, and budget.enforce=true")
    assert [errors.count(reason) for reason in reasons] == [1, 1]
    summary = json.loads(next((tmp_path / "b").glob("*/summary.json")).read_text(encoding="utf-8"))
    assert summary["budget"]["met"] is False


def test_a_run_says_that_stop_at_accuracy_has_stopped_it(composed, tmp_path, capsys):
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path / 'a'}", "epochs=3", "stop_at_accuracy=0")) == 0
    assert "stopped in epoch 1: stop_at_accuracy=0 is reached" in capsys.readouterr().out
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path / 'b'}", "epochs=1", "stop_at_accuracy=100")) == 0
    assert "stop_at_accuracy" not in capsys.readouterr().out


def test_a_diverged_run_raises_one_line_and_has_its_curves(composed, tmp_path, capsys):
    wild = composed(
        *QUICK, f"runs_dir={tmp_path}", "optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "model=step1"
    )
    with pytest.raises(RunError, match=r"not finite at step \d+ .*training has diverged.*no checkpoint was due"):
        run.run(wild)
    folder = only_folder(wild)
    assert "error: " in (folder / "run.log").read_text(encoding="utf-8")
    assert "diverged" not in capsys.readouterr().err  # the command prints the error, once
    assert imread(folder / "curves.png").shape[0] > 500 and not (folder / "summary.json").exists()


def test_an_evaluation_that_is_not_finite_is_divergence(quick, monkeypatch):
    def broken(trainer: Trainer, _split: object) -> tuple[float, float]:
        return (math.inf if trainer.step > 4 else 2.0), 10.0

    monkeypatch.setattr(Trainer, "evaluate", broken)
    with pytest.raises(RunError, match=r"test/loss \(inf\) is not finite at step 8 \(epoch 2, .*training has diverged"):
        run.run(quick)
    folder = only_folder(quick)
    rows = rows_of(folder)
    assert [row["step"] for row in rows if "train/loss" in row] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [row["step"] for row in rows if "test/loss" in row] == [4]
    assert (folder / "curves.png").is_file()


def test_an_internal_error_keeps_its_traceback_and_the_run_its_curves(quick, monkeypatch, capsys):
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("made for the test")

    monkeypatch.setattr(summary, "build_summary", broken)
    with pytest.raises(ZeroDivisionError) as caught:
        run.run(quick)
    assert any(entry.name == "broken" for entry in caught.traceback)
    folder = only_folder(quick)
    log = (folder / "run.log").read_text(encoding="utf-8")
    assert "Traceback" in log and "made for the test" in log
    assert "run.log" in capsys.readouterr().err
    assert imread(folder / "curves.png").shape[0] > 500


def test_a_failed_run_keeps_its_error_if_its_curves_cannot_be_drawn(quick, monkeypatch, capsys):
    def broken(*_args: object) -> NoReturn:
        raise DrawingError("made for the test")

    def diverged(trainer: Trainer, _batch: object) -> NoReturn:
        raise RunError("the error of the run")

    monkeypatch.setattr(curves, "draw", broken)
    monkeypatch.setattr(Trainer, "_train_step", diverged)
    with pytest.raises(RunError, match="the error of the run"):
        run.run(quick)
    assert "The curves were not drawn: made for the test" in capsys.readouterr().err
    assert not (only_folder(quick) / "curves.png").exists()


def test_a_dead_network_is_reported_with_its_cause(composed, tmp_path, capsys, monkeypatch):
    dead = composed(*QUICK, f"runs_dir={tmp_path}", "model=step3", "epochs=1", "batch_size=2")

    def negative(network: torch.nn.Module, _init: str) -> None:
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, -0.1)

    monkeypatch.setattr("mnist_lite.model.build.initialise", negative)  # every ReLU gives zero, for ever
    assert run.run(dead) == 0
    err = capsys.readouterr().err
    assert "2.303" in err and "ReLU" in err


def test_the_known_part_of_the_budget_is_printed_before_training(composed, tmp_path, capsys):
    config = composed(*QUICK, f"runs_dir={tmp_path}", "budget.parameters=7838", "budget.epochs=2")
    run.run(config)
    before = capsys.readouterr().out.split("run folder:")[0]
    assert "[MISSED] < 7,838 parameters: 7,838" in before
    assert "[MISSED] <= 2 epochs: 3" in before


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("budget.parameters=7838", r"\[MISSED\] < 7,838 parameters: 7,838"),
        ("budget.epochs=2", r"\[MISSED\] <= 2 epochs: 3"),
        ("model.layers=[flatten,{linear:10}] budget.fully_connected=false", "no fully connected layer: one or more"),
    ],
)
def test_a_run_that_cannot_pass_an_enforced_budget_is_refused_at_once(
    requirement, said, composed, tmp_path, monkeypatch
):
    monkeypatch.setattr(setup, "load", lambda *_arguments: pytest.fail("the data was read"))
    words = requirement.split(" ")
    config = composed(*QUICK, f"runs_dir={tmp_path / 'runs'}", "budget.enforce=true", *words)
    with pytest.raises(UserError, match=f"this run cannot pass.*{said}"):
        run.run(config)
    assert not (tmp_path / "runs").exists()


def test_a_run_that_may_stop_early_is_not_refused_for_its_epochs(composed, tmp_path):
    words = ("budget.epochs=2", "budget.accuracy=null", "budget.enforce=true", "stop_at_accuracy=1")
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path}", *words)) == 0
