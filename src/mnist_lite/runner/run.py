"""Trains one config from start to end, or continues a run folder.

It opens the folder and builds the parts. The training itself is in ``run_loop.py``.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import Config
from mnist_lite.errors import MachineError, RunError
from mnist_lite.process.stop_request import StopRequest
from mnist_lite.reporting.console import Console
from mnist_lite.runner import resume
from mnist_lite.runner.folder import LOG, RunFolder
from mnist_lite.runner.lr_finder import with_found_rate
from mnist_lite.runner.run_loop import RunLoop
from mnist_lite.runner.setup import set_up_run


class Ended(NamedTuple):
    """A run that has come to its end."""

    folder: Path
    exit_code: int
    """0, or 1 if ``budget.enforce`` is set and the budget is not met."""


def run(config: Config, console: Console | None = None, path: Path | None = None, download: bool = True) -> int:
    """``train``, for commands: returns the exit code only."""
    return train(config, console, path, download).exit_code


def train(config: Config, console: Console | None = None, path: Path | None = None, download: bool = True) -> Ended:
    """Trains a new run, or continues the run in ``config.resume``.

    The folder of a new run is ``path``. None: a new folder in ``config.runs_dir``. With ``download=False``, MNIST is only
    read: nothing is downloaded or unpacked into ``config.data.root``. This is for a ``config`` that may come from a stranger.

    Raises:
        UserError: the config or the data is not usable. Nothing was written.
        RunError: the training failed. The folder and its last checkpoint stay.
        Interrupted: a signal came. The state was saved.
    """
    console = console or Console()
    with closing(console), StopRequest() as stop:
        try:
            if config.resume is None:
                return _start(config, console, stop, path, download)
            return _resume(config, console, stop, download)
        except RunError as failure:
            with suppress(MachineError):  # the disk may be full
                console.log(f"error: {failure}")
            raise


def _start(config: Config, console: Console, stop: StopRequest, path: Path | None, download: bool) -> Ended:
    config = with_found_rate(config, console)
    parts = set_up_run(config, console, download=download)
    stop.can_save = True
    root = user_path("runs_dir", config.runs_dir)
    with closing(RunFolder.create(root, config.name) if path is None else RunFolder.create_at(path)) as folder:
        try:
            console.log_to(folder.path / LOG)
            loop = RunLoop(config, parts, folder, console)
            loop.write_config_and_model()
        except RunError:
            folder.delete()
            raise
        console.line(f"run folder: {folder.path}\n")
        return Ended(folder.path, loop.train(stop))


def _resume(config: Config, console: Console, stop: StopRequest, download: bool) -> Ended:
    assert config.resume is not None
    with closing(RunFolder.open_existing(Path(config.resume))) as folder:
        state, damaged = folder.find_checkpoint()
        config = with_found_rate(config, console, state)
        reason = resume.why_finished(config, folder, state, bool(damaged))
        if reason is not None:
            console.line(f"{folder.path} is finished: {reason}")
            return Ended(folder.path, 0)
        console.log_to(folder.path / LOG)
        for name, error in damaged.items():
            console.warn(f"{folder.path / name} cannot be used: {error}. It is kept under the name {name}.damaged.")
        loop = RunLoop(config, set_up_run(config, console, state, download), folder, console)
        loop.restore(state, damaged)
        stop.can_save = True
        return Ended(folder.path, loop.train(stop))
