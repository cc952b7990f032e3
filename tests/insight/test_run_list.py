"""The list of runs: what was changed, how far each run is, and its state."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_lite.config.compose import compose_shipped
from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.insight.changes import changes
from mnist_lite.insight.run_list import list_runs, print_runs
from mnist_lite.runner.config_file import as_dict, as_yaml, read_config
from mnist_lite.runner.folder import RunFolder
from tests.conftest import Compose, RunCommand
from tests.runner.test_formats import FORMATS
from tests.sweeps.fake_sweep import write_run


def run_config(composed: Compose, *overrides: str) -> Config:
    """The config of a run that was started with ``overrides``."""
    _, choices = compose_shipped([override for override in overrides if "." not in override])
    return replace(composed(*overrides), choices=choices)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["experiment=era4"],
        ["experiment=era4", "model=step3", "optimizer.lr=0.03"],
        ["model=era4", "scheduler=onecycle", "optimizer.lr=0.5", "seed=7"],
        ["model=era4", "model.width=16"],
        ["model=era4", "model.layers=[{conv: 10, kernel: 28}]"],
        ["data=digits", "augment=rotation", "augment.degrees=3.5", "clip_grad_norm=1.0"],
        ["optimizer=sgd", "optimizer.momentum=0.5", "epochs=3"],
    ],
)
def test_the_changes_are_the_overrides(overrides: list[str], composed: Compose, tmp_path: Path):
    """Values that follow from others are no changes: the layers of width 16, and OneCycle's max_lr."""
    (tmp_path / "config.yaml").write_bytes(as_yaml(run_config(composed, *overrides)))
    expected = {override.replace(" ", "") for override in overrides if override != "scheduler=onecycle"}
    assert {change.replace(" ", "") for change in changes(read_config(tmp_path))} == expected


def test_settings_that_do_not_change_the_result_are_no_changes(composed: Compose):
    config = composed("threads=1", "budget.accuracy=99", "runs_dir=mine", "checkpoint.steps=7", "name=x")
    assert changes(as_dict(config)) == []


def test_a_file_of_the_user_is_named_and_its_values_are_shown(composed: Compose):
    config = {**as_dict(composed("optimizer=sgd")), "choices": {"optimizer": "mine", "model": "../../x"}}
    found = changes(config)
    assert found[:2] == ["model=../../x", "optimizer=mine"] and "optimizer.name=SGD" in found


def test_a_long_value_is_cut(composed: Compose):
    (change,) = changes(as_dict(composed("model.layers=[" + "relu," * 50 + "{conv: 10, kernel: 28}, global_avg_pool]")))
    assert change.startswith("model.layers=[relu") and change.endswith("...") and len(change) < 60


def test_an_old_format_has_changes():
    found = changes(read_config(FORMATS / "1"))
    assert {"model=era4", "data=digits", "batch_size=20"} <= set(found) and not [c for c in found if "compile" in c]


@pytest.fixture
def runs(composed: Compose, tmp_path: Path) -> Path:
    """A run for each state, the oldest one in a sweep."""
    root = tmp_path / "runs"
    (root / "sweeps" / "lr").mkdir(parents=True)
    config = run_config(composed, "experiment=era4", "epochs=2")
    for seconds, (name, accuracies) in enumerate(
        [("sweeps/lr/failed", [40.0]), ("done", [50.0, 60.0]), ("stopped", [70.0]), ("running", [80.0]), ("new", [])]
    ):
        write_run(root, name, accuracies or [1.0])
        path = root / name
        (path / "config.yaml").write_bytes(as_yaml(replace(config, seed=seconds)))
        os.utime(path / "config.yaml", (seconds, seconds))
        if name != "done":
            (path / "summary.json").unlink()
        if not accuracies:
            (path / "metrics.jsonl").write_bytes(b"")
    (root / "sweeps" / "lr" / "failed" / "error.txt").write_text("loss is nan\n")
    return root


def test_each_run_has_its_epochs_accuracy_and_state(runs: Path):
    folder = RunFolder(runs / "running")
    before = sorted(path for path in runs.rglob("*"))
    listed, total = list_runs(runs, 10)
    assert total == 5
    assert [(run.path.name, run.epochs, run.planned, run.accuracy, run.state) for run in listed] == [
        ("new", 0, 2, None, "interrupted"),
        ("running", 1, 2, 80.0, "running"),
        ("stopped", 1, 2, 70.0, "interrupted"),
        ("done", 2, 2, 60.0, "done"),
        ("failed", 1, 2, 40.0, "failed"),
    ]
    assert listed[1].changed == "experiment=era4 seed=3 epochs=2"
    assert sorted(path for path in runs.rglob("*")) == before
    folder.close()
    assert list_runs(runs, 2)[0][1].state == "interrupted"


def test_the_lock_can_be_taken_after_the_list(runs: Path):
    for _ in range(2):
        list_runs(runs, 10)
        RunFolder(runs / "running").close()


def test_damaged_folders_have_a_line(runs: Path, capsys: pytest.CaptureFixture[str]):
    (runs / "done" / "config.yaml").write_text("a: !!python/object:os.system x\n")
    (runs / "stopped" / "metrics.jsonl").write_text("{")
    (runs / "running" / "config.yaml").write_text("choices: {model: [1]}\nepochs: x\nopt\x00")
    (runs / "new" / "config.yaml").write_text('optimizer: {lr: "a\\e[2J"}\nchoices: 3\n')
    (runs / "linked").symlink_to(runs / "done")
    assert print_runs([str(runs)], "9") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8 and sum("config.yaml " in line for line in lines) == 2
    assert not [line for line in lines if not line.isprintable()]


def test_only_the_newest_are_shown(runs: Path, capsys: pytest.CaptureFixture[str]):
    assert print_runs([str(runs)], "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["new", "running"]
    assert lines[-1] == "the 2 newest of 5 runs; count=5 shows all"


@pytest.mark.parametrize(("names", "count"), [(["a", "b"], "1"), ([], "0"), ([], "x"), (["nowhere"], "1")])
def test_bad_input_is_one_line(names: list[str], count: str):
    with pytest.raises(UserError):
        print_runs(names, count)


def test_a_thousand_runs_take_seconds(runs: Path, capsys: pytest.CaptureFixture[str]):
    for number in range(1000):
        shutil.copytree(runs / ("done", "stopped")[number % 2], runs / f"copy_{number}")
    started = time.process_time()
    assert print_runs([str(runs)], "1005") == 0
    assert time.process_time() - started < 8
    assert len(capsys.readouterr().out.splitlines()) == 1008


def test_the_command_lists_the_folder(runs: Path, run_command: RunCommand):
    done = run_command("runs")
    assert done.returncode == 0, done.stderr
    assert "experiment=era4 seed=1 epochs=2" in done.stdout and "MNIST's 10,000 test images" in done.stdout
