"""Fixtures of all tests: a composed config, MNIST if this machine has it, a subprocess for commands."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Set before torch is imported, for this process and its children: the workers would compete for the cores.
    os.environ["OMP_NUM_THREADS"] = "1"

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from mnist_lite.config.compose import config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE
from mnist_lite.config.schema import Config, validate

REPOSITORY = Path(__file__).resolve().parents[1]
MNIST_FILE = Path("MNIST/raw/train-images-idx3-ubyte.gz")

QUICK = ("data=digits", "data.train_limit=100", "data.test_limit=50", "epochs=1", "batch_size=50")
"""Overrides for a run of two training steps."""

Compose = Callable[..., Config]
RunCommand = Callable[..., "subprocess.CompletedProcess[str]"]


def write_file(path: Path, text: str) -> Path:
    """Writes ``text`` to ``path`` and creates the folder of ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load_script(name: str) -> Any:
    """The module scripts/<name>.py, which is in no package. As for ``python scripts/<name>.py``, its folder is on the path."""
    folder = str(REPOSITORY / "scripts")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def pytest_configure() -> None:
    """Removes from the environment what depends on the terminal: its size, and an activated environment.

    Children write into pipes, which have no size.

    pytest imports readline, which sets the size to 80 x 24 where ``os.environ`` does not show it.
    """
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
        os.unsetenv(name)
    # An activated environment has the script mnist-lite in its PATH. Then the commands that are shown begin with its name.
    scripts = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join(path for path in os.environ["PATH"].split(os.pathsep) if path != scripts)


@pytest.fixture
def composed() -> Compose:
    """``composed("model=step3", ...)``: the validated config of the train command with these overrides."""

    def make(*overrides: str) -> Config:
        with initialize_config_dir(str(config_dir()), **VERSION_BASE):
            config = compose("config", list(overrides))
        with open_dict(config):
            config.name = config.name or "test"
        return validate(config, Config)

    return make


@pytest.fixture(scope="session", autouse=True)
def no_fork_server_of_a_sweep() -> Iterator[None]:
    """In the process of the tests, a sweep does not start its fork server.

    A process has only one fork server, and the children of ``tests/faults/child.py`` need theirs.
    """
    from mnist_lite.sweeps import pool

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "start_fork_server", lambda _module: None)
        yield


@pytest.fixture(scope="session")
def mnist_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of MNIST's ``.gz`` files, in the folders that torchvision uses."""
    source = Path(os.environ.get("MNIST_LITE_DATA") or REPOSITORY / "data")
    if not (source / MNIST_FILE).is_file():
        pytest.skip(f"no MNIST in {source}/MNIST/raw (set MNIST_LITE_DATA to a folder that has it)")
    root = tmp_path_factory.mktemp("mnist")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (source / "MNIST" / "raw").glob("*.gz"):
        (raw / file.name).write_bytes(file.read_bytes())
    return root


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run on the digits, for all tests that only read it. Others copy it."""
    from mnist_lite.config.compose import compose_run
    from mnist_lite.reporting.console import Console
    from mnist_lite.runner.run import run
    from tests.faults.recipes import FEW, SMALL

    runs = tmp_path_factory.mktemp("runs")
    run(compose_run([*FEW, *SMALL, "name=small", f"runs_dir={runs}"]), Console(lambda *_: None))
    (path,) = runs.iterdir()
    return path


@pytest.fixture
def offline(monkeypatch):
    """Downloads fail."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def run_command(tmp_path: Path) -> RunCommand:
    """``run_command("train", "epochs=1", env={...})``: a command in a subprocess, in an empty folder."""

    def run(command: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"mnist_lite.{command}", *arguments],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
