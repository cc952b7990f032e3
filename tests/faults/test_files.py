"""Damaged files, a full disk, and folders that are locked or that cannot be written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from mnist_lite.errors import UserError
from mnist_lite.runner.config_file import resumed_config
from mnist_lite.runner.folder import RunFolder
from tests.faults.child import Done, composed, only_run, start, train, train_by_command
from tests.faults.compare import assert_same_run
from tests.faults.injected import (
    DiskFull,
    DiskFullFromTheStart,
    FolderLocked,
    OtherImages,
    SignalAtStep,
    SimulatedTime,
    SlowSteps,
)
from tests.faults.recipes import FEW, RECIPES, SMALL

RECIPE = (*FEW, *RECIPES["ema"], "checkpoint.steps=2")
INTERRUPTED = 13  # the step at which the run is killed: last.pt is of step 12, previous.pt of 10


@pytest.fixture
def reference(references: dict[str, Path]) -> Path:
    """The same run, uninterrupted."""
    return references["ema"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    assert train(folder, *RECIPE, fault=SignalAtStep(INTERRUPTED, signal.SIGKILL)).code == -9
    return only_run(folder)


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    """A copy of the run that was killed."""
    shutil.copytree(killed, tmp_path / "runs" / killed.name)
    return tmp_path / "runs" / killed.name


def resumed(run: Path) -> Done:
    done = train(run.parents[1], f"resume={run}")
    assert done.code == 0, done.text
    return done


def resumed_at(done: Done) -> int:
    """The step of the checkpoint that a resumed run started from, as it prints it; 0: it started over."""
    steps = re.findall(r"after step (\d+) \(epoch", done.text)
    return int(steps[0]) if steps else 0


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
    "middle": flip(0.5),
    "last byte": flip(1.0),
    "half of it": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeros, as after a power cut": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}
SHORT_DAMAGES = ("middle", "half of it")  # runner/test_checkpoint.py changes each byte and tries each length


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damage, id=name, marks=[] if name in SHORT_DAMAGES else pytest.mark.long)
        for name, damage in DAMAGES.items()
    ],
)
def test_the_checkpoint_before_a_damaged_one_is_used(damage: Damage, run: Path, reference: Path):
    damage(run / "last.pt")
    bad = (run / "last.pt").read_bytes()
    assert resumed_at(resumed(run)) == 10
    assert (run / "last.pt.damaged").read_bytes() == bad
    (run / "last.pt.damaged").unlink()
    assert_same_run(run, reference)


def test_when_both_are_damaged_it_starts_over(run: Path, reference: Path):
    flip(0.5)(run / "last.pt")
    flip(0.5)(run / "previous.pt")
    assert resumed_at(resumed(run)) == 0
    for name in ("last.pt.damaged", "previous.pt.damaged"):
        (run / name).unlink()
    assert_same_run(run, reference)


def test_a_damaged_best_is_written_again(run: Path, reference: Path):
    flip(0.5)(run / "best.pt")
    resumed(run)
    assert_same_run(run, reference)


DAMAGES_OF_ROWS: dict[str, Damage] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "half of it": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a changed number": lambda path: path.write_bytes(path.read_bytes().replace(b'"step": 3', b'"step": 4')),
    "an incomplete line": lambda path: path.write_bytes(path.read_bytes() + b'{"step": 14, "epo'),
    "zeros": lambda path: path.write_bytes(path.read_bytes() + b"\0" * 500),
    "no text": lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
}


@pytest.mark.parametrize("damage", DAMAGES_OF_ROWS.values(), ids=DAMAGES_OF_ROWS)
def test_rows_that_are_lost_or_changed_are_restored_from_the_checkpoint(damage: Damage, run: Path, reference: Path):
    damage(run / "metrics.jsonl")
    assert resumed_at(resumed(run)) == 12
    assert_same_run(run, reference)


def test_an_edited_config_is_refused(run: Path):
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("ema_decay: 0.9", "ema_decay: 0.8"), encoding="utf-8")
    before = content(run)
    done = train(run.parents[1], f"resume={run}")
    one_error(done, 2, "error: ema_decay: ", "0.8", "0.9")
    assert content(run) == before


def test_other_data_is_refused(run: Path):
    one_error(train(run.parents[1], f"resume={run}", fault=OtherImages()), 2, "error: data.root: ")


def one_error(done: Done, code: int, *said: str) -> None:
    assert done.code == code, done.text
    errors = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.text
    for words in said:
        assert words in errors[0]
    assert "Traceback" not in done.text


@pytest.mark.parametrize(
    ("call", "part"),
    [
        pytest.param(call, part, marks=[] if (call, part) in {(1, 0.0), (6, 0.5)} else pytest.mark.long)
        for call in (1, 3, 6)
        for part in (0.0, 0.5, 0.95)
    ],
)
def test_a_full_disk_ends_the_run_with_one_line(call: int, part: float, reference: Path, tmp_path: Path):
    """The fraction ``part`` of a checkpoint still fits. With 0, not even a row or a line of the log does."""
    done = train(tmp_path, *RECIPE, fault=DiskFull(call, part))
    one_error(done, 1, "cannot write", "File too large")
    run = only_run(tmp_path)
    left = {path.name for path in run.iterdir() if path.name.startswith(".")}
    assert left == {".lock"}
    resumed(run)  # now the disk has room again
    assert_same_run(run, reference)


def test_a_full_disk_leaves_the_last_good_checkpoint_as_it_was(run: Path, reference: Path):
    before = (run / "last.pt").read_bytes()
    one_error(train(run.parents[1], f"resume={run}", fault=DiskFull(1, 0.5)), 1, "last.pt: File too large")
    assert (run / "last.pt").read_bytes() == before
    resumed(run)
    assert_same_run(run, reference)


def test_a_disk_that_is_full_from_the_start_leaves_no_folder(tmp_path: Path):
    one_error(train(tmp_path, *RECIPE, fault=DiskFullFromTheStart()), 1, "cannot write")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_full_file_system(tmp_path: Path):
    """A real one, if this machine allows to mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this process may not mount a file system")
    try:
        done = train(tmp_path, *RECIPE, f"runs_dir={disk}")
        one_error(done, 1, "cannot write", "No space left on device")
        (run,) = disk.iterdir()
        assert torch.load(run / "last.pt", weights_only=True)["step"] >= 2
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that all users may enter, unlike pytest's."""
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


def test_only_a_run_without_a_process_can_be_resumed(reference: Path, tmp_path: Path):
    running = start(tmp_path, *RECIPE, fault=SlowSteps(0.3))
    while not list(tmp_path.glob("runs/*/last.pt")):
        time.sleep(0.05)
    run = only_run(tmp_path)
    second = train(tmp_path, f"resume={run}")
    one_error(second, 2, "is being trained by another process")
    assert running.is_alive()
    running.kill()
    running.join()
    resumed(run)
    assert_same_run(run, reference)


def test_runs_that_start_at_once_never_share_a_folder(reference: Path, tmp_path: Path):
    running = [start(tmp_path, *RECIPE) for _ in range(4)]
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0] * 4
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 4
    for run in runs:
        assert_same_run(run, reference)


def test_temporary_files_of_a_killed_process_are_removed(run: Path, reference: Path):
    (run / ".last.pt.0a1b2c3d.tmp").write_bytes(b"half")
    resumed(run)
    assert_same_run(run, reference)


def test_temporary_files_of_a_run_that_never_began_are_removed(tmp_path: Path):
    (tmp_path / ".config.yaml.0a1b2c3d.tmp").write_bytes(b"half")
    RunFolder.create_at(tmp_path).close()
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob(".*.tmp"))


def test_a_finished_run_without_checkpoints_is_not_trained_again(reference: Path, tmp_path: Path):
    run = tmp_path / "finished"
    shutil.copytree(reference, run)
    for name in ("last.pt", "previous.pt"):
        (run / name).unlink(missing_ok=True)
    before = content(run)
    one_error(train(tmp_path, f"resume={run}"), 2, "finished")
    assert content(run) == before


@pytest.mark.parametrize("name", ["summary.json", "best.pt", "last.pt", "metrics.jsonl", "curves.png", "model.txt"])
def test_a_missing_file_of_a_finished_run_is_written_again(name: str, reference: Path, tmp_path: Path):
    run = copy_of_finished(reference, tmp_path)
    (run / name).unlink()
    resumed(run)
    assert_same_run(run, reference)


@pytest.mark.parametrize("name", ["summary.json", "best.pt", "last.pt", "metrics.jsonl"])
def test_an_empty_file_of_a_finished_run_is_written_again(name: str, reference: Path, tmp_path: Path):
    run = copy_of_finished(reference, tmp_path)
    (run / name).write_bytes(b"")
    resumed(run)
    (run / "last.pt.damaged").unlink(missing_ok=True)
    assert_same_run(run, reference)


def copy_of_finished(reference: Path, folder: Path) -> Path:
    run = folder / "runs" / "finished"
    shutil.copytree(reference, run)
    shutil.copy(run / "last.pt", run / "previous.pt")
    return run


def test_a_run_that_reached_its_accuracy_is_finished(tmp_path: Path):
    done = train(tmp_path, *RECIPE, "stop_at_accuracy=0")
    assert done.code == 0
    run = only_run(tmp_path)
    for more in ([], ["epochs=9"]):
        done = train(tmp_path, f"resume={run}", *more)
        assert done.code == 0 and "stop_at_accuracy=0" in done.text, done.text


def test_resume_with_nothing_is_one_line(tmp_path: Path):
    one_error(train_by_command(tmp_path, "resume="), 2, "error: resume: empty")


def test_a_moved_run_is_resumed_where_it_is(run: Path, reference: Path, tmp_path: Path):
    moved = tmp_path / "some where" / "lr=0.1, it's [mine]"
    moved.parent.mkdir()
    run.rename(moved)
    done = train_by_command(tmp_path, f"resume={moved.relative_to(tmp_path)}")
    assert done.code == 0, done.text
    assert_same_run(moved, reference)


@pytest.mark.parametrize("name", ["nothing", "file", "empty"])
def test_a_path_that_is_no_run_folder_is_one_line(name: str, tmp_path: Path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    expected = "is a file; name the folder of the run" if name == "file" else "is not a run folder"
    one_error(train(tmp_path, f"resume={name}"), 2, f"resume: {name} {expected}")


@pytest.mark.parametrize("override", ["optimizer.lr=1", "seed=3", "model=base", "+x=1", "~augment", "runs_dir=a"])
def test_a_resumed_run_keeps_its_config(override: str, run: Path):
    key = override.partition("=")[0].lstrip("+~")
    with pytest.raises(UserError, match=f"^{key}: "):
        resumed_config(run, composed(), [f"resume={run}", override])
    if override == "~augment":
        one_error(train_by_command(run.parents[1], f"resume={run}", override), 2, f"error: {key}: ")


def test_checkpoints_cost_less_than_two_percent(tmp_path: Path):
    """With as many as ``checkpoint.seconds=0`` allows, and checkpoints that take half as long as a step."""
    few = [word for word in FEW if not word.startswith("epochs")]
    done = train(
        tmp_path, *few, *SMALL, "epochs=30", "checkpoint.seconds=0", fault=SimulatedTime(0.1, 0.05, "times.json")
    )
    assert done.code == 0, done.text
    first, *others, _end = json.loads((tmp_path / "times.json").read_text(encoding="utf-8"))
    assert first == pytest.approx(0.1)
    pauses = [after - before for before, after in zip([first, *others], others, strict=False)]
    assert others and all(0.02 * pause >= 0.05 * 0.999 for pause in pauses), pauses
