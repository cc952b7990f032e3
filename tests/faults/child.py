"""Runs of the real command in processes that are forked ready-imported, so that hundreds of them can be killed in a minute."""

from __future__ import annotations

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

import mnist_lite.runner.run
import mnist_lite.train
from mnist_lite.config.compose import config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE
from mnist_lite.data.digits import load_digits
from mnist_lite.model.build import build
from mnist_lite.reporting import curves

Fault = Callable[[], None]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.warm"])
TIMEOUT = 120.0


def warm_up() -> None:
    """What a first run imports late and reckons once (3 s): torch's meta kernels, fonts, a grammar. Starts no thread."""
    torch.set_num_threads(1)
    load_digits()
    build({"layers": [{"conv": 10}, "batch_norm", "relu", {"dropout": 0.1}, {"max_pool": 2}, "global_avg_pool"]})
    curves.draw([{"step": 1, "epoch": 1, "lr": 0.1, "train/loss": 2.0, "train/accuracy": 10.0}], "warm")
    with initialize_config_dir(str(config_dir()), **VERSION_BASE):
        compose("config", ["model=era4"])


@dataclass
class Done:
    """How a command ended. ``code`` is negative if a signal ended it, as in ``subprocess``."""

    code: int
    text: str


def train(folder: Path, *overrides: str, fault: Fault | None = None) -> Done:
    """``python -m mnist_lite.train overrides`` in ``folder``; ``fault`` is called in the process before it."""
    reader, writer = CONTEXT.Pipe(duplex=False)  # and not a file, which a full disk would keep from being written
    process = CONTEXT.Process(target=_main, args=(folder, writer, overrides, fault), daemon=True)
    process.start()
    writer.close()
    text, end = b"", time.monotonic() + TIMEOUT
    while select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(reader.fileno(), 1 << 16)
        if not piece:
            process.join(TIMEOUT)
            assert process.exitcode is not None
            return Done(process.exitcode, text.decode())
        text += piece
    process.kill()
    raise AssertionError(f"still running after {TIMEOUT} s: {text.decode()}")


def start(folder: Path, *overrides: str, fault: Fault | None = None) -> Any:
    """The same without output and without waiting for its end."""
    process = CONTEXT.Process(target=_main, args=(folder, None, overrides, fault), daemon=True)
    process.start()
    return process


def hear_signals() -> None:
    """Takes back what ``nohup`` or a shell's background job has left to children: signals that are ignored stay ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def only_run(folder: Path) -> Path:
    """The only run folder in ``folder/runs``."""
    (run,) = (folder / "runs").iterdir()
    return run


def _main(folder: Path, output: Connection | None, overrides: tuple[str, ...], fault: Fault | None) -> NoReturn:
    os.chdir(folder)
    descriptor = os.open(os.devnull, os.O_WRONLY) if output is None else output.fileno()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    hear_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    sys.argv = ["mnist_lite.train", *overrides]
    # 0.4 s each, and no fault has to do with them; the tests of real commands in subprocesses draw theirs
    curves.draw = lambda *_arguments: b"a picture"
    # Hydra composes everything twice (0.3 s), the first time to see whether -m is meant; here it never is
    setattr(Hydra, "get_mode", lambda *_arguments, **_more: RunMode.RUN)  # noqa: B010
    if fault is not None:
        fault()
    mnist_lite.train.main()
    raise AssertionError("the command has not exited")
