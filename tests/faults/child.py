"""Runs in child processes that can be killed. The children are forked from a server that has imported torch already.

``train`` gives ``mnist_lite.train.job`` a config that the tests compose once. ``train_by_command`` calls the command's ``main``
with its arguments, and Hydra composes the config in the child (0.2 s more). Both call a fault in the child first.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import torch
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

import mnist_lite.runner.run
import mnist_lite.train
from mnist_lite.config.compose import config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE
from mnist_lite.config.schema import Config, validate
from mnist_lite.data import digits
from mnist_lite.errors import exit_code_of
from mnist_lite.model.build import build
from mnist_lite.process.startup import begin
from mnist_lite.reporting import curves
from mnist_lite.runner import provenance
from mnist_lite.runner.config_file import resumed_config

Fault = Callable[[], None]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.warm"])
TIMEOUT = 120.0
DRAW_CURVES = curves.draw
"""In children ``curves.draw`` draws nothing."""


def warm_up() -> None:
    """Does in the server, once, what the first run of a process does late (2 s). Starts no thread."""
    torch.set_num_threads(1)
    digits.load_digits = functools.cache(digits.load_digits)
    digits.load_digits()
    build({"layers": [{"conv": 10}, "batch_norm", "relu", {"dropout": 0.1}, {"max_pool": 2}, "global_avg_pool"]})
    composed()
    # The next three save 0.6 s a run. The faults do not depend on them, and other tests check them.
    curves.draw = lambda *_arguments: b"a picture"
    provenance.git_commit = lambda folder: None
    setattr(Hydra, "get_mode", lambda *_arguments, **_more: RunMode.RUN)  # noqa: B010  composes the config just for the mode


@functools.cache
def composed(*overrides: str) -> DictConfig:
    """The config of the train command with ``overrides``, not validated."""
    with initialize_config_dir(str(config_dir()), **VERSION_BASE):
        config = compose("config", list(overrides), return_hydra_config=True)
    chosen = {group: name for group, name in config.hydra.runtime.choices.items() if "hydra/" not in group}
    with open_dict(config):
        del config["hydra"]
        config.choices, config.name = chosen, config.name or chosen["model"]
    return config


@dataclass
class Done:
    """How a child ended. ``code`` is negative if a signal ended it, as in ``subprocess``. ``text`` is all that it printed."""

    code: int
    text: str


@dataclass
class Job:
    """A run, or a resumed run if ``run`` is its folder."""

    config: DictConfig
    overrides: tuple[str, ...]
    run: str | None

    def __call__(self) -> None:
        begin()
        sys.exit(exit_code_of(self._train))

    def _train(self) -> int:
        if self.run is None:
            return mnist_lite.train.job(validate(self.config, Config))
        return mnist_lite.train.job(resumed_config(Path(self.run), self.config, self.overrides))


@dataclass
class Command:
    """``python -m mnist_lite.train`` with these arguments."""

    overrides: tuple[str, ...]

    def __call__(self) -> None:
        sys.argv = ["mnist_lite.train", *self.overrides]
        mnist_lite.train.main()


def job(overrides: tuple[str, ...]) -> Job:
    """The job of these overrides; ``resume=<folder>`` among them resumes a run."""
    runs = [override.removeprefix("resume=") for override in overrides if override.startswith("resume=")]
    others = tuple(override for override in overrides if not override.startswith("resume="))
    return Job(composed(*others), others, runs[0] if runs else None)


def train(folder: Path, *overrides: str, fault: Fault | None = None) -> Done:
    """Trains in ``folder``, in a child; ``fault`` is called in the child first."""
    return run_child(folder, job(overrides), fault)


def train_by_command(folder: Path, *overrides: str, fault: Fault | None = None) -> Done:
    """The same by the command: its arguments are parsed and the config is composed in the child."""
    return run_child(folder, Command(overrides), fault)


def start(folder: Path, *overrides: str, fault: Fault | None = None) -> Any:
    """Starts ``train`` and returns the process; what the child prints is lost."""
    process = CONTEXT.Process(target=_main, args=(folder, None, job(overrides), fault), daemon=True)
    process.start()
    return process


def run_child(folder: Path, work: Callable[[], None], fault: Fault | None = None, timeout: float = TIMEOUT) -> Done:
    """Calls ``fault`` and ``work`` in a child in ``folder``; ``work`` ends the child. Both are pickled."""
    reader, writer = CONTEXT.Pipe(duplex=False)  # a file would not do: some faults forbid the child to write files
    process = CONTEXT.Process(target=_main, args=(folder, writer, work, fault), daemon=True)
    process.start()
    writer.close()
    text, end = b"", time.monotonic() + timeout
    while select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(reader.fileno(), 1 << 16)
        if not piece:
            process.join(TIMEOUT)
            assert process.exitcode is not None
            return Done(process.exitcode, text.decode())
        text += piece
    process.kill()
    raise AssertionError(f"still running after {timeout} s: {text.decode()}")


def default_signals() -> None:
    """Signals have their default effect. Signals that ``nohup`` or a shell ignores are ignored in all children, too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def only_run(folder: Path) -> Path:
    """The only run folder in ``folder/runs``."""
    (run,) = (folder / "runs").iterdir()
    return run


def _main(folder: Path, output: Connection | None, work: Callable[[], None], fault: Fault | None) -> NoReturn:
    os.chdir(folder)
    descriptor = os.open(os.devnull, os.O_WRONLY) if output is None else output.fileno()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    default_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    if fault is not None:
        fault()
    work()
    raise AssertionError("the child has not exited")
