"""A run that was trained before, read from its folder: its network, its metrics and its config.

The folder may come from a stranger. Nothing in it can run code, and nothing is written. The formats of all versions are read.
Shipped weights (``zoo:<name>``) have the same files, but their weights are in ``weights.safetensors``: see ``zoo.py``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import nn

from mnist_lite import files
from mnist_lite.errors import UserError
from mnist_lite.insight import safetensors_file, zoo
from mnist_lite.insight.safetensors_file import DamagedFileError
from mnist_lite.model.build import Network, build
from mnist_lite.runner import checkpoint
from mnist_lite.runner.checkpoint import DamagedError, ForeignError
from mnist_lite.runner.folder import LAST, is_locked
from mnist_lite.runner.metrics_file import read_rows
from mnist_lite.runner.summary import DataRecord, Summary, read_summary
from mnist_lite.training.saved_state import WrongStateError, check_state
from mnist_lite.training.step_metrics import Row

WEIGHTS = "weights.safetensors"
METADATA = "mnist_lite"
"""The name of the text in ``weights.safetensors`` that has the config and the normalisation."""


class PixelClassifier(nn.Module):
    """A network with its normalisation, in evaluation mode. Raw pixels go in, logits come out."""

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        """``mean`` and ``std`` are of the training images, with pixels scaled to 0..1."""
        super().__init__()
        self.network = network
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, 10)`` float32 for ``images`` ``(N, 1, 28, 28)`` with values 0..255, uint8 or float."""
        logits: torch.Tensor = self.network((images.float() / 255 - self.mean) / self.std)
        return logits


class Description(TypedDict):
    """What the metadata of ``weights.safetensors`` say, in JSON."""

    config: dict[str, Any]
    data: DataRecord
    """``mean`` and ``std`` are the normalisation: the input is ``(pixels / 255 - mean) / std``."""
    epoch: int


class _Weights(TypedDict):
    """The parts of a checkpoint that are needed to use its network. They are the same in all formats."""

    config: dict[str, Any]
    data: DataRecord
    model: dict[str, Any]
    ema: dict[str, Any] | None
    epoch: int
    step: int


@dataclass(frozen=True)
class SavedRun:
    """A run folder. The network is that of ``last.pt``: after the last epoch, or after the last checkpoint."""

    path: Path
    config: Mapping[str, Any]
    """The config of the run as nested dicts. Files of older versions may have other keys."""
    network: Network
    """On the CPU, in evaluation mode. With ``ema_decay``, its weights are the average that the run evaluated."""
    data: DataRecord
    """The images that the run was trained on."""
    epoch: int
    """The epoch of the weights, from 1."""
    summary: Summary | None
    """None: the run is not finished."""
    step: int | None = None
    """The step of the weights. None: not known, because the weights are shipped. They are those of a whole epoch."""

    @property
    def in_epoch(self) -> bool:
        """Whether the weights are from the middle of ``epoch``, because the run was interrupted or is running."""
        batch_size = self.config.get("batch_size")
        if self.step is None or not isinstance(batch_size, int) or batch_size < 1:
            return False
        return self.step % math.ceil(self.data["train"] / batch_size) != 0

    @property
    def weights(self) -> str:
        """Which weights these are, in words: ``weights after epoch 3``."""
        return (
            f"weights after step {self.step:,}, in epoch {self.epoch}"
            if self.in_epoch
            else f"weights after epoch {self.epoch}"
        )

    @property
    def name(self) -> str:
        """The name of the run, without the time in the name of its folder."""
        return str(self.config.get("name") or self.path.name)

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of ``metrics.jsonl``.

        Raises:
            UserError: the file cannot be read.
        """
        try:
            return read_rows(self.path)
        except OSError as error:
            raise UserError(f"{self.path}: metrics.jsonl cannot be read: {error.strerror}") from error

    def classifier(self) -> PixelClassifier:
        """The network with its normalisation inside."""
        return PixelClassifier(self.network.module, self.data["mean"], self.data["std"])


def load_run(path: Path) -> SavedRun:
    """Reads the run folder ``path``.

    Raises:
        UserError: it is not a run folder, it has no usable checkpoint, or its weights do not fit its layers.
    """
    path = files.real_folder(path)
    if not path.is_dir():
        raise UserError(f"{path} is not a run folder: there is no such folder")
    if not (path / LAST).exists() and (path / WEIGHTS).exists():
        return _load_safetensors(path)
    if not (path / LAST).exists():
        reason = (
            "it is being trained, and has no checkpoint yet"
            if is_locked(path)
            else f"{LAST} is missing (no checkpoint was saved, or it is not a run folder)"
        )
        raise UserError(f"{path} has no weights: {reason}")
    try:
        weights = checkpoint.load_as(path / LAST, _Weights)
    except (DamagedError, ForeignError) as error:
        raise UserError(f"{path / LAST} cannot be used: {error}") from error
    described = Description(config=weights["config"], data=weights["data"], epoch=weights["epoch"])
    return _saved_run(path / LAST, described, _evaluated(weights), weights["step"])


def _load_safetensors(path: Path) -> SavedRun:
    file = path / WEIGHTS
    try:
        content = files.read(file, checkpoint.MAX_BYTES)
        if path.parent == zoo.ZOO and hashlib.sha256(content).hexdigest() != zoo.read_card(path).sha256:
            raise DamagedFileError(f"its SHA-256 is not that of {zoo.CARD}; install the package again")
        state, texts = safetensors_file.unpack(content)
        described = files.decode(texts.get(METADATA, "").encode(), Description)
    except OSError as error:
        raise UserError(f"{file} cannot be used: {error.strerror}") from error
    except DamagedFileError as error:
        raise UserError(f"{file} cannot be used: {error}") from error
    return _saved_run(file, described, state)


def _saved_run(file: Path, described: Description, state: Mapping[str, Any], step: int | None = None) -> SavedRun:
    config, folder = described["config"], file.parent
    model = config.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("layers"), list):
        raise UserError(f"{file} cannot be used: its config has no layers")
    network = load_network(model, state, str(file))
    return SavedRun(folder, config, network, described["data"], described["epoch"], read_summary(folder), step)


def load_network(model: dict[str, Any], state: Mapping[str, Any], where: str) -> Network:
    """The network with the layers of ``model`` and the weights ``state``, in evaluation mode. ``where`` is for messages.

    No initial weights are drawn: the network is built without memory first.

    Raises:
        UserError: the layers are not valid, or the weights do not fit them.
    """
    with torch.device("meta"):
        network = build(model)
    try:
        check_state(state, network.module.state_dict(), "weights")
    except WrongStateError as error:
        raise UserError(f"{where}: the weights do not fit the layers: {error}") from error
    network.module.load_state_dict(state, assign=True)
    network.module.requires_grad_(False).eval()
    return network


def _evaluated(weights: _Weights) -> dict[str, Any]:
    """The weights that the run evaluated: their average if there is one."""
    if weights["ema"] is None:
        return weights["model"]
    prefix = "module."  # of torch's AveragedModel
    return {key.removeprefix(prefix): value for key, value in weights["ema"].items() if key.startswith(prefix)}
