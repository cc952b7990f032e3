"""A small network with its trainer, on scikit-learn's digits, for tests of the training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from mnist_lite import rng
from mnist_lite.backends.select import select_backend
from mnist_lite.config.schema import Config
from mnist_lite.data import dataset
from mnist_lite.data.augment import pipeline
from mnist_lite.model.build import build
from mnist_lite.training.optimizer import build_optimizer
from mnist_lite.training.schedule import build_schedule
from mnist_lite.training.step_metrics import Row
from mnist_lite.training.trainer import Trainer

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "layers": [
        {"conv": 4, "kernel": 5, "stride": 3},
        "relu",
        "batch_norm",
        {"dropout": 0.1},
        {"conv": 10},
        "global_avg_pool",
    ]
}
BASE = ("data=digits", "data.train_limit=250", "data.test_limit=100", "batch_size=64", "epochs=2", "optimizer=sgd")


def trainer(config: Config, model: dict[str, Any] | None = None) -> Trainer:
    """A trainer on the CPU, with one thread. ``model`` replaces the model ``TINY``."""
    rng.seed_global(config.seed, "init")
    network = build(model or TINY, config.init)
    optimizer = build_optimizer(config.optimizer, network.module)
    data = dataset.load(config.data)
    steps = math.ceil(len(data.train) / config.batch_size)
    schedule = build_schedule(config.scheduler, optimizer, config.epochs, steps, data.holdout is not None)
    plan = select_backend(config, network, CPU, threads=1, total_images=0)
    augment = pipeline.build(config.augment)
    return Trainer(config, network.module, plan.backend, optimizer, schedule, augment, data, CPU)


def rows_of(fit: Iterator[list[Row]]) -> list[Row]:
    """All rows of a training."""
    return [row for new in fit for row in new]


def without_times(rows: list[Row]) -> list[Row]:
    """The rows without the values that differ from run to run."""
    return [{key: value for key, value in row.items() if not key.startswith("seconds/")} for row in rows]
