from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from matplotlib.image import imread

from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from mnist_lite.reporting import curves
from mnist_lite.reporting.console import Console
from mnist_lite.runner import metrics, run, setup, summary
from mnist_lite.runner.folder import RunFolder
from tests.conftest import Compose

CHANCE = math.log(10)
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


def test_run_folder_tells_the_whole_story(quick, capsys):
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
    assert summary["accuracy"]["gap"]["final"] == pytest.approx(train[-1] - test[-1])
    assert (summary["parameters"], summary["epochs"], summary["steps"], summary["seed"]) == (7838, 3, 12, 0)
    assert summary["data"]["name"] == "digits"
    assert summary["seconds"]["train"] == pytest.approx(sum(row["seconds/train"] for row in ends))
    assert summary["versions"]["torch"] == str(torch.__version__)
    assert summary["device"].startswith("cpu")
    assert {"git", "threads", "budget"} <= set(summary)

    assert "7,838 parameters" in (folder / "model.txt").read_text(encoding="utf-8")
    saved = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert saved["epochs"] == 3 and saved["model"]["layers"][3] == {"dropout": 0.05}
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


def test_checkpoints_load_safely_and_are_the_networks_they_say(quick):
    run.run(quick)
    folder = only_folder(quick)
    ends = [row for row in rows_of(folder) if "test/loss" in row]
    best = torch.load(folder / "best.pt", weights_only=True)
    last = torch.load(folder / "last.pt", weights_only=True)
    assert best["row"]["test/accuracy"] == max(row["test/accuracy"] for row in ends)
    assert last["epoch"] == 3 and last["step"] == 12
    assert {"model", "optimizer", "scheduler", "ema", "config"} <= set(last)
    assert {"model", "ema", "config", "row", "score", "step", "epoch"} == set(best)
    from mnist_lite.data import dataset

    loaded = dataset.load(quick.data)
    module = build(last["config"]["model"]).module
    for state, row in ((last, ends[-1]), (best, best["row"])):
        module.load_state_dict(state["model"])
        module.eval()
        with torch.no_grad():
            right = (
                (module(loaded.normalise(loaded.test.images.float() / 255)).argmax(1) == loaded.test.labels)
                .float()
                .mean()
            )
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
    assert "best on the holdout" in capsys.readouterr().out


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


def test_a_config_is_found_wrong_before_any_data_is_touched(composed, tmp_path, monkeypatch):
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
    assert "[MISSED] >= 100 % test accuracy in each of the last 2 epochs" in capsys.readouterr().out
    summary = json.loads(next((tmp_path / "b").glob("*/summary.json")).read_text(encoding="utf-8"))
    assert summary["budget"]["met"] is False


def test_divergence_ends_the_run_with_one_line(composed, tmp_path, capsys):
    wild = composed(
        *QUICK, f"runs_dir={tmp_path}", "optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "model=step1"
    )
    assert run.run(wild) == 1
    assert "training has diverged" in capsys.readouterr().err
    assert "diverged" in (only_folder(wild) / "run.log").read_text(encoding="utf-8")


def test_internal_faults_keep_their_traceback_in_the_log(quick, monkeypatch, capsys):
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("made for the test")

    monkeypatch.setattr(summary, "summary", broken)
    with pytest.raises(ZeroDivisionError):
        run.run(quick)
    log = (only_folder(quick) / "run.log").read_text(encoding="utf-8")
    assert "Traceback" in log and "made for the test" in log
    assert "run.log" in capsys.readouterr().err


def test_a_dead_network_is_reported_with_its_cause(composed, tmp_path, capsys, monkeypatch):
    dead = composed(*QUICK, f"runs_dir={tmp_path}", "model=step3", "epochs=1", "batch_size=2")

    def negative(network: torch.nn.Module, _init: str) -> None:
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, -0.1)

    monkeypatch.setattr("mnist_lite.model.build.initialise", negative)  # every ReLU gives zero, for ever
    assert run.run(dead) == 0
    err = capsys.readouterr().err
    assert "2.303" in err and "ReLU" in err


def test_folders_are_claimed_exclusively(tmp_path):
    claimed = [RunFolder.create(tmp_path, "same/../name é") for _ in range(20)]
    assert len({folder.path for folder in claimed}) == 20
    for folder in claimed:
        assert folder.path.parent == tmp_path
        folder.close()


def test_an_unusable_runs_dir_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="runs_dir"):
        RunFolder.create(tmp_path / "file" / "runs", "x")


def test_what_can_be_known_before_training_is_said_before(composed, tmp_path, capsys):
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
    monkeypatch.setattr(setup, "load", lambda _config: pytest.fail("the data was read"))
    words = requirement.split(" ")
    config = composed(*QUICK, f"runs_dir={tmp_path / 'runs'}", "budget.enforce=true", *words)
    with pytest.raises(UserError, match=f"this run cannot pass.*{said}"):
        run.run(config)
    assert not (tmp_path / "runs").exists()


def test_a_run_that_may_stop_early_is_not_refused_for_its_epochs(composed, tmp_path):
    words = ("budget.epochs=2", "budget.accuracy=null", "budget.enforce=true", "stop_at_accuracy=1")
    assert run.run(composed(*QUICK, f"runs_dir={tmp_path}", *words)) == 0


def test_final_and_mean_are_of_whole_epochs_and_best_is_of_all_evaluations():
    def end(epoch: int, test: float, end: bool = True) -> dict[str, float]:
        row = {"step": epoch, "epoch": epoch, "epoch_end": end, "train/epoch_accuracy": 50.0, "test/accuracy": test}
        return {**row, "train/epoch_loss": 1.0, "seconds/train": 2.0, "seconds/eval": 1.0}

    rows = [end(1, 99.9, end=False), end(1, 90.0), end(2, 95.0), end(3, 93.0), {"step": 9, "train/loss": 1.0}]
    figures = metrics.accuracies(rows)
    assert figures["test"] == {
        "first_epoch": 90,
        "final": 93,
        "best": 99.9,
        "best_epoch": 1,
        "mean_last_5": None,
        "by_epoch": [90, 95, 93],
    }
    more = [*rows[:-1], end(4, 94.0), end(5, 96.0), end(6, 97.0)]
    assert metrics.accuracies(more)["test"]["mean_last_5"] == pytest.approx((95 + 93 + 94 + 96 + 97) / 5)
    assert metrics.seconds(rows) == {"train": 6.0, "eval": 4.0}


@pytest.mark.parametrize(
    ("train", "test", "steps", "dead"),
    [
        (CHANCE, CHANCE, 469, True),
        (2.2, CHANCE, 469, False),
        (CHANCE, 2.2, 469, False),
        (CHANCE, CHANCE, 20, False),
        (2.3006, 2.2955, 469, False),
    ],
)
def test_death_is_a_loss_at_ln_10(train, test, steps, dead):
    assert metrics.has_died({"epoch_end": True, "train/epoch_loss": train, "test/loss": test}, steps) is dead


def test_smoothing_is_the_trailing_mean():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert curves.smooth(values, 2) == [1.0, 1.5, 2.5, 3.5, 4.5]
    assert curves.smooth(values, 10) == [1.0, 1.5, 2.0, 2.5, 3.0]


def test_curves_of_one_step_and_of_a_stopped_epoch():
    step = {"step": 1, "epoch": 1, "lr": 0.1, "train/loss": 2.0, "train/accuracy": 10.0}
    one = curves.draw([step], "one step", 99.4)
    evaluation = {
        "step": 1,
        "epoch": 1,
        "test/loss": 2.0,
        "test/accuracy": 12.0,
        "holdout/loss": 1.0,
        "holdout/accuracy": 9.0,
    }
    two = curves.draw([step, evaluation], "one evaluation")
    assert len(one) > 10_000 < len(two)
    assert imread(io.BytesIO(two), format="png").shape[0] > 500


def test_lines_before_the_log_are_in_the_log(tmp_path, capsys):
    reporter = Console()
    reporter.line("early")
    reporter.log_to(tmp_path / "run.log")
    reporter.line("late")
    reporter.close()
    assert [line.split(" ", 1)[1] for line in (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()] == [
        "early",
        "late",
    ]
    assert capsys.readouterr().out == "early\nlate\n"
