"""A resumed run reads the data folder that its config names, and changes nothing there: the config may be a stranger's."""

from __future__ import annotations

import gzip
import shutil
import signal
import urllib.request
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from tests.faults.child import Done, only_run, train, train_by_command
from tests.faults.injected import SignalAtStep
from tests.faults.recipes import FEW, RECIPES

TRIED = "a-download-was-tried"


def no_network() -> None:
    """A fault: a download fails. A file in the current folder tells that one was tried."""

    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        Path(TRIED).touch()
        raise OSError("no route to host")

    urllib.request.urlopen = refuse


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    done = train(folder, *FEW, *RECIPES["onecycle"], fault=SignalAtStep(7, signal.SIGTERM))
    assert done.code == 143, done.text
    return only_run(folder)


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """A copy of a run that was stopped, in ``tmp_path/home``. Beside it is ``tmp_path/other``, which the tests watch."""
    shutil.copytree(stopped, tmp_path / "home" / "run")
    (tmp_path / "other").mkdir()
    return tmp_path / "home" / "run"


def change_config(run: Path, **changes: object) -> None:
    """Changes keys of ``config.yaml``. A key such as ``data__root`` is ``data.root``. The run starts from its first step."""
    path = run / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        *groups, last = key.split("__")
        node = config
        for group in groups:
            node = node[group]
        node[last] = value
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    for name in ("last.pt", "previous.pt"):
        (run / name).unlink(missing_ok=True)


def resume(run: Path, *overrides: str) -> Done:
    """Resumes by the real command. A download is impossible."""
    return train_by_command(run.parent, "resume=run", *overrides, fault=no_network)


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("root", ["empty", "deep/in/a/new/folder"])
def test_a_resumed_run_downloads_nothing_into_the_folder_of_its_config(root: str, run: Path, tmp_path: Path):
    change_config(run, data__name="mnist", data__root=str(tmp_path / "other" / root))
    done = resume(run)
    assert done.code == 2 and "Traceback" not in done.text, done.text
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert "train-images-idx3-ubyte.gz is missing" in line and "give data.root=<folder with MNIST>" in line
    assert contents(tmp_path / "other") == [] and not (run.parent / TRIED).exists()


def test_a_folder_that_the_user_names_may_be_downloaded_into(run: Path, tmp_path: Path):
    change_config(run, data__name="mnist", data__root=str(tmp_path / "other"))
    done = resume(run, f"data.root={tmp_path / 'mine'}")
    assert done.code == 2 and "no mirror has it" in done.text and str(tmp_path / "mine") in done.text
    assert (run.parent / TRIED).exists() and contents(tmp_path / "other") == []


def test_a_new_run_downloads(tmp_path: Path):
    done = train_by_command(tmp_path, *FEW, "data=mnist", "data.root=data", fault=no_network)
    assert done.code == 2 and (tmp_path / TRIED).exists(), done.text


def test_a_resumed_run_unpacks_nothing_into_the_folder_of_its_config(run: Path, tmp_path: Path, mnist_root: Path):
    shutil.copytree(mnist_root, tmp_path / "other" / "root", ignore=shutil.ignore_patterns("*-ubyte"))
    before = contents(tmp_path / "other")
    change_config(run, data__name="mnist", data__root=str(tmp_path / "other" / "root"))
    done = resume(run)
    assert done.code == 0, done.text
    assert contents(tmp_path / "other") == before and not (run.parent / TRIED).exists()


def test_data_auto_of_a_stranger_downloads_nothing(run: Path, tmp_path: Path):
    change_config(run, data__name="auto", data__root=str(tmp_path / "other"))
    done = resume(run)
    assert "THIS IS NOT MNIST" in done.text, done.text
    assert contents(tmp_path / "other") == [] and not (run.parent / TRIED).exists()


def test_no_other_folder_of_a_config_is_written_to(run: Path, tmp_path: Path):
    """``runs_dir`` and ``sweep.dir`` are folders of new runs. ``resume`` and ``name`` could name another run."""
    other = tmp_path / "other"
    change_config(
        run,
        runs_dir=str(other / "runs"),
        sweep__dir=str(other / "sweep"),
        data__root=str(other / "data"),
        resume=str(other / "run"),
        name=f"../../{other}/name",
    )
    done = resume(run)
    assert done.code == 0, done.text
    assert contents(other) == [] and sorted(path.name for path in tmp_path.iterdir()) == ["home", "other"]
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_a_new_run_still_unpacks(tmp_path: Path, mnist_root: Path):
    shutil.copytree(mnist_root, tmp_path / "root", ignore=shutil.ignore_patterns("*-ubyte"))
    done = train_by_command(tmp_path, *FEW, *RECIPES["onecycle"], "data=mnist", "data.root=root")
    assert done.code == 0, done.text
    content = gzip.decompress((mnist_root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").read_bytes())
    assert (tmp_path / "root" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").read_bytes() == content
