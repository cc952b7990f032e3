"""The Python API: ``load``, ``fit``, ``read_digit`` and ``Run``. Users import these names from ``mnist_lite``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from mnist_lite.config.compose import compose_run
from mnist_lite.data.dataset import Dataset
from mnist_lite.errors import UserError
from mnist_lite.insight.classify import prepare
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.predictions import load_data
from mnist_lite.insight.saved_run import PixelClassifier, SavedRun, load_run
from mnist_lite.reporting.console import Console
from mnist_lite.runner.run import train
from mnist_lite.runner.summary import Summary


class Run:
    """A trained network with its config and its metrics."""

    def __init__(self, saved: SavedRun) -> None:
        """Use ``load`` or ``fit``."""
        self._saved = saved

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self._saved.network.parameters:,} parameters, {self._saved.weights}, {self.path}>"

    @property
    def name(self) -> str:
        """The name of the run."""
        return self._saved.name

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self._saved.path

    @property
    def config(self) -> Mapping[str, Any]:
        """The config as nested dicts, with the keys of ``config.yaml``."""
        return self._saved.config

    @property
    def summary(self) -> Summary | None:
        """The content of ``summary.json``. None: the run is not finished."""
        return self._saved.summary

    @cached_property
    def network(self) -> PixelClassifier:
        """The network after the last epoch, with its normalisation, as a ``torch.nn.Module`` in evaluation mode on the CPU.

        ``run.network(images)`` returns logits ``(N, 10)`` float32 for ``images`` ``(N, 1, 28, 28)``: raw pixels 0..255, uint8 or
        float. Ink is 255. Its parameters have no gradients; gradients of the input work.
        """
        return self._saved.classifier()

    @cached_property
    def metrics(self) -> dict[str, list[float]]:
        """The columns of ``metrics.jsonl``, all of the same length: ``pandas.DataFrame(run.metrics)`` takes them.

        There is one row for each training step and for each evaluation, in order. A value that a row does not have is NaN.
        ``epoch_end`` is false there. Accuracies are in percent.

        Raises:
            UserError: the file cannot be read.
        """
        rows = self._saved.rows
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: [row.get(key, False if key == "epoch_end" else math.nan) for row in rows] for key in keys}

    @cached_property
    def data(self) -> Dataset:
        """All images of the data set of the run: ``run.data.test.images`` ``(N, 1, 28, 28)`` uint8, ``run.data.test.labels``.

        MNIST is read from the folder in the environment variable ``MNIST_LITE_DATA``, or from ``data``.

        Raises:
            UserError: the data is not there.
        """
        return load_data(self._saved)


def load(name: str | PathLike[str]) -> Run:
    """The run that ``name`` stands for: the path of its folder, a pattern such as ``runs/*_era4``, ``latest``, or ``zoo:<name>``.

    Raises:
        UserError: there is no such run, there are several, or its files cannot be used.
    """
    folders = find_runs([str(name)])
    if len(folders) > 1:
        raise UserError(f"{name}: this stands for {len(folders)} runs; name one of them")
    return Run(load_run(folders[0]))


def fit(overrides: Sequence[str] = (), verbose: bool = True) -> Run:
    """Trains a network, as ``mnist-lite train`` does with the arguments ``overrides``, and returns the run.

    Args:
        overrides: Such as ``["experiment=era4", "epochs=1"]``. ``resume=<folder>`` and sweeps are for the command.
        verbose: False: nothing is printed.

    Raises:
        UserError: the config or the data is not usable. Nothing was written.
        RunError: the training failed. The folder and its last checkpoint stay.
        Interrupted: a subclass of KeyboardInterrupt. The state was saved.
    """
    console = Console() if verbose else Console(lambda *_: None)
    return Run(load_run(train(compose_run(overrides), console).folder))


def read_digit(file: str | PathLike[str]) -> torch.Tensor:
    """The digit in a picture as MNIST has it: ``(1, 1, 28, 28)`` uint8, ink is 255. ``Run.network`` takes it.

    Raises:
        UserError: the file is not a picture, or nothing is drawn on it.
    """
    return prepare([str(file)])
