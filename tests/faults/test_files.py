"""Files that are damaged, a disk that is full, folders that are locked or not ours to write."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mnist_lite.runner.folder import RunFolder
from tests.faults.child import Done, only_run, start, train
from tests.faults.compare import assert_same_run, rows
from tests.faults.injected import DiskFull, DiskFullFromTheStart, FolderLocked, SignalAtStep, SlowSteps
from tests.faults.recipes import FEW, RECIPES, STEPS

RECIPE = (*FEW, *RECIPES["ema"], "checkpoint.steps=2")
INTERRUPTED = 13  # the step at which the run is killed: last.pt is of step 12, previous.pt of 10


@pytest.fixture
def reference(references: dict[str, Path]) -> Path:
    """The same run that nothing happened to."""
    return references["ema"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    assert train(folder, *RECIPE, fault=SignalAtStep(INTERRUPTED, signal.SIGKILL)).code == -9
    return only_run(folder)


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    """A copy of a run that was killed."""
    shutil.copytree(killed, tmp_path / "runs" / killed.name)
    return tmp_path / "runs" / killed.name


def go_on(run: Path) -> Done:
    done = train(run.parents[1], f"resume={run}")
    assert done.code == 0, done.text
    return done


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.log"}


Damage = Callable[[Path], object]


def flip(place: float) -> Damage:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(place * len(data)), len(data) - 1)] ^= 1
        path.write_bytes(data)

    return damage


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "first byte": flip(0.0),
    "header": flip(0.001),
    "middle": flip(0.5),
    "last byte": flip(1.0),
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut by one byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "zeros, as after a power cut": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_seen_and_the_one_before_is_used(damage: Damage, run: Path, reference: Path):
    damage(run / "last.pt")
    bad = (run / "last.pt").read_bytes()
    done = go_on(run)
    assert "last.pt cannot be used: it" in done.text and "resuming after step 10" in done.text
    assert (run / "last.pt.damaged").read_bytes() == bad
    (run / "last.pt.damaged").unlink()
    assert_same_run(run, reference)


def test_when_both_are_damaged_it_starts_over(run: Path, reference: Path):
    flip(0.5)(run / "last.pt")
    flip(0.5)(run / "previous.pt")
    done = go_on(run)
    assert done.text.count("cannot be used") == 2 and "starting from the first step" in done.text
    for name in ("last.pt.damaged", "previous.pt.damaged"):
        (run / name).unlink(missing_ok=True)
    assert_same_run(run, reference)


def test_a_damaged_best_is_written_anew(run: Path, reference: Path):
    flip(0.5)(run / "best.pt")
    go_on(run)
    assert_same_run(run, reference)


ROWS_DAMAGED: dict[str, Damage] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a changed number": lambda path: path.write_bytes(path.read_bytes().replace(b'"step": 3', b'"step": 4')),
    "a torn line": lambda path: path.write_bytes(path.read_bytes() + b'{"step": 14, "epo'),
    "zeros": lambda path: path.write_bytes(path.read_bytes() + b"\0" * 500),
    "no text": lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
}


@pytest.mark.parametrize("damage", ROWS_DAMAGED.values(), ids=ROWS_DAMAGED)
def test_rows_that_are_lost_or_changed_are_restored_from_the_checkpoint(damage: Damage, run: Path, reference: Path):
    damage(run / "metrics.jsonl")
    done = go_on(run)
    assert "resuming after step 12" in done.text
    assert_same_run(run, reference)


def test_a_config_that_was_edited_is_refused(run: Path):
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("ema_decay: 0.9", "ema_decay: 0.8"), encoding="utf-8")
    before = content(run)
    done = train(run.parents[1], f"resume={run}")
    assert done.code == 2
    assert done.text.splitlines()[-1].startswith(
        "error: ema_decay: config.yaml says 0.8 and the checkpoint was made with 0.9"
    )
    assert content(run) == before


def test_other_data_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch):
    done = train(run.parents[1], f"resume={run}", fault=OtherData())
    assert done.code == 2
    assert "error: data.root: the images are not those of the run" in done.text


class OtherData:
    """One pixel of all."""

    def __call__(self) -> None:
        digits: Any = importlib.import_module("mnist_lite.data.digits")
        original = digits.load_sklearn_digits

        def other() -> Any:
            source = original()
            source.images[0, 0, 0] = 7
            return source

        digits.load_sklearn_digits = other


def one_error(done: Done, code: int, *said: str) -> None:
    assert done.code == code, done.text
    errors = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.text
    for words in said:
        assert words in errors[0]
    assert "Traceback" not in done.text


@pytest.mark.parametrize("call", [1, 3, 6])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.95])
def test_a_full_disk_ends_the_run_with_one_line(call: int, part: float, reference: Path, tmp_path: Path):
    """``part`` of a checkpoint still fits when it begins. With none, not even a row or a line of the log does."""
    done = train(tmp_path, *RECIPE, fault=DiskFull(call, part))
    one_error(done, 1, "cannot write", "File too large")
    run = only_run(tmp_path)
    left = {path.name for path in run.iterdir() if path.name.startswith(".")}
    assert left == {".lock"}
    go_on(run)  # somebody has made room
    assert_same_run(run, reference)


def test_a_full_disk_leaves_the_last_good_checkpoint_as_it_was(run: Path, reference: Path):
    before = (run / "last.pt").read_bytes()
    one_error(train(run.parents[1], f"resume={run}", fault=DiskFull(1, 0.5)), 1, "last.pt: File too large")
    assert (run / "last.pt").read_bytes() == before
    go_on(run)
    assert_same_run(run, reference)


def test_a_disk_that_is_full_from_the_start_leaves_no_folder(tmp_path: Path):
    one_error(train(tmp_path, *RECIPE, fault=DiskFullFromTheStart()), 1, "cannot write")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_full_file_system(tmp_path: Path):
    """A real one, where this machine lets us mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs rights that this process has not")
    try:
        done = train(tmp_path, *RECIPE, f"runs_dir={disk}")
        one_error(done, 1, "cannot write", "No space left on device")
        (run,) = disk.iterdir()
        assert torch.load(run / "last.pt", weights_only=True)["step"] >= 2
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


def test_a_folder_that_loses_its_permission(open_folder: Path):
    (open_folder / "runs").mkdir(mode=0o777)
    (open_folder / "runs").chmod(0o777)
    done = train(open_folder, *RECIPE, fault=FolderLocked(step=5))
    one_error(done, 1, "last.pt: Permission denied")
    assert torch.load(only_run(open_folder) / "last.pt", weights_only=True)["step"] == 4


def test_runs_dir_without_permission(open_folder: Path):
    (open_folder / "runs").mkdir(mode=0o555)
    (open_folder / "runs").chmod(0o555)
    done = train(open_folder, *RECIPE, fault=FolderLocked(step=10**9))
    one_error(done, 2, "runs_dir: cannot make a run folder", "Permission denied")


def test_a_run_that_is_running_cannot_be_resumed_and_its_lock_dies_with_it(reference: Path, tmp_path: Path):
    running = start(tmp_path, *RECIPE, fault=SlowSteps(0.5))
    while not list(tmp_path.glob("runs/*/last.pt")):
        time.sleep(0.05)
    run = only_run(tmp_path)
    second = train(tmp_path, f"resume={run}")
    one_error(second, 2, "is being trained by another process")
    assert running.is_alive()
    running.kill()
    running.join()
    go_on(run)
    assert_same_run(run, reference)


def test_runs_that_start_in_the_same_instant_never_share_a_folder(reference: Path, tmp_path: Path):
    running = [start(tmp_path, *RECIPE) for _ in range(6)]
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0] * 6
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 6
    for run in runs:
        assert_same_run(run, reference)


def test_temporary_files_of_a_killed_process_are_cleared(run: Path, reference: Path):
    (run / ".last.pt.0a1b2c3d.tmp").write_bytes(b"half")
    go_on(run)
    assert_same_run(run, reference)


def test_temporary_files_of_a_process_that_was_killed_before_its_first_file_are_cleared(tmp_path: Path):
    (tmp_path / ".config.yaml.0a1b2c3d.tmp").write_bytes(b"half")
    RunFolder.create_at(tmp_path).close()
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob(".*.tmp"))


def test_a_finished_run_without_checkpoints_is_not_trained_again(reference: Path, tmp_path: Path):
    run = tmp_path / "finished"
    shutil.copytree(reference, run)
    for name in ("last.pt", "previous.pt"):
        (run / name).unlink(missing_ok=True)
    before = content(run)
    one_error(train(tmp_path, f"resume={run}"), 2, "is finished, and it has no good checkpoint to continue from")
    assert content(run) == before


@pytest.mark.parametrize("name", ["summary.json", "best.pt", "last.pt", "metrics.jsonl", "curves.png", "model.txt"])
def test_a_finished_run_with_a_file_gone_or_broken_is_made_whole(name: str, reference: Path, tmp_path: Path):
    for kind in ("gone", "empty"):
        if kind == "empty" and name in ("curves.png", "model.txt"):
            continue  # which hold nothing that is not elsewhere
        run = tmp_path / kind
        shutil.copytree(reference, run)
        shutil.copy(run / "last.pt", run / "previous.pt")
        (run / name).unlink() if kind == "gone" else (run / name).write_bytes(b"")
        done = train(tmp_path, f"resume={kind}")
        assert done.code == 0, done.text
        (run / "last.pt.damaged").unlink(missing_ok=True)
        assert_same_run(run, reference)


def test_a_run_that_reached_its_accuracy_says_so(tmp_path: Path):
    done = train(tmp_path, *RECIPE, "stop_at_accuracy=0")
    assert done.code == 0
    run = only_run(tmp_path)
    for more in ([], ["epochs=9"]):
        done = train(tmp_path, f"resume={run}", *more)
        assert done.code == 0 and "it reached stop_at_accuracy=0" in done.text, done.text


def test_resume_with_nothing_is_one_line(tmp_path: Path):
    one_error(train(tmp_path, "resume="), 2, "resume: empty; name the folder of a run")


def test_a_moved_run_goes_on_where_it_is(run: Path, reference: Path, tmp_path: Path):
    moved = tmp_path / "some where" / "lr=0.1, it's [mine]"
    moved.parent.mkdir()
    run.rename(moved)
    done = train(tmp_path, f"resume={moved.relative_to(tmp_path)}")
    assert done.code == 0, done.text
    assert_same_run(moved, reference)


@pytest.mark.parametrize("name", ["nothing", "file", "empty"])
def test_what_is_no_run_folder_is_one_line(name: str, tmp_path: Path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    one_error(train(tmp_path, f"resume={name}"), 2, f"resume: {name} is not a run folder")


@pytest.mark.parametrize("override", ["optimizer.lr=1", "seed=3", "model=base", "+x=1", "~augment", "runs_dir=a"])
def test_a_resumed_run_keeps_its_config(override: str, run: Path):
    one_error(train(run.parents[1], f"resume={run}", override), 2, "a resumed run keeps its config")


def test_the_cost_of_checkpoints_is_under_two_percent(tmp_path: Path):
    """Of 300 steps with as many checkpoints as the rule allows."""
    slow = [word for word in FEW if not word.startswith("epochs")]
    done = train(
        tmp_path, *slow, "epochs=60", "model=step4", "checkpoint.seconds=0", fault=SlowSteps(0.03, "cost.json")
    )
    assert done.code == 0, done.text
    figures = json.loads((tmp_path / "cost.json").read_text(encoding="utf-8"))
    print(figures)
    assert figures["checkpoints"] >= 3
    assert figures["after the first"] <= 0.025 * figures["all"]  # a checkpoint may take longer than the one before
    assert len(rows(only_run(tmp_path))) > STEPS
