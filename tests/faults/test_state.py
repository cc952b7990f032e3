"""A trainer is saved to the bytes of a checkpoint and restored, with every optimizer, scheduler and setting."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch

from mnist_lite.config.schema import Config
from mnist_lite.errors import UserError
from mnist_lite.runner import checkpoint
from mnist_lite.training.optimizer import optimizer_classes
from mnist_lite.training.schedule import scheduler_classes
from mnist_lite.training.step_metrics import Row
from mnist_lite.training.trainer import Trainer
from tests.conftest import Compose
from tests.faults.compare import first_difference
from tests.faults.recipes import KERNELS
from tests.training.trainers import BASE, rows_of, trainer, without_times

LAYERS: dict[str, Any] = {"layers": [{"conv": 10, "kernel": 5, "stride": 4}, "global_avg_pool"]}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [2, 5]},
    "ConstantLR": {"factor": 0.5, "total_iters": 3},
    "LinearLR": {"total_iters": 6},
    "ExponentialLR": {"gamma": 0.8},
    "SequentialLR": {
        "schedulers": [{"name": "LinearLR", "total_iters": 3}, {"name": "CosineAnnealingLR", "T_max": 5}],
        "milestones": [3],
    },
    "PolynomialLR": {"total_iters": 7, "power": 2.0},
    "CosineAnnealingLR": {"T_max": 8},
    "ChainedScheduler": {
        "schedulers": [{"name": "LinearLR", "total_iters": 3}, {"name": "ExponentialLR", "gamma": 0.9}]
    },
    "ReduceLROnPlateau": {"interval": "epoch", "monitor": "train/epoch_loss", "patience": 0, "threshold": 1.0},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2, "mode": "exp_range", "gamma": 0.9},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 8},
}


def test_every_scheduler_is_here():
    assert set(SCHEDULERS) == set(scheduler_classes())


def assert_resumes_exactly(config: Config, model: dict[str, Any] | None = None) -> None:
    """Saves in an epoch and at its end, each time into a new trainer. The result equals an uninterrupted training."""
    uninterrupted = trainer(config, model)
    reference = rows_of(uninterrupted.fit())
    for step in (3, 4):
        first = trainer(config, model)
        rows: list[Row] = [row for new in islice(first.fit(), step) for row in new]
        state: Any = checkpoint.unpack(checkpoint.pack(first.state_dict()))
        second = trainer(config, model)
        torch.rand(step)  # other random numbers in between change nothing
        second.load_state_dict(state, rows)
        rows += rows_of(second.fit())
        assert without_times(rows) == without_times(reference), step
        assert first_difference(second.state_dict(), uninterrupted.state_dict()) is None, step


@pytest.mark.parametrize("name", optimizer_classes())
def test_every_optimizer_resumes_exactly(name: str, composed: Compose):
    config = composed(*BASE)
    config.optimizer = {"name": name, "lr": 0.01}
    config.scheduler = {"name": "ExponentialLR", "gamma": 0.9, "interval": "step"}
    if name == "Muon":
        pytest.skip("Muon trains matrices only, and convolutions have none")
    assert_resumes_exactly(config)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_resumes_exactly(name: str, composed: Compose):
    config = composed(*BASE)
    config.scheduler = {"name": name, "interval": "step", **SCHEDULERS[name]}
    assert_resumes_exactly(config)


@pytest.mark.parametrize(
    "more",
    [
        ("ema_decay=0.9",),
        ("augment=strong",),
        ("eval_every=3", "data.holdout=50"),
        ("l1=0.01", "clip_grad_norm=0.1", "label_smoothing=0.2"),
        ("precision=bf16",),
        ("memory_format=channels_last",),
        (*KERNELS, "ema_decay=0.9", "label_smoothing=0.2", "l1=0.01"),
        ("stop_at_accuracy=5", "eval_every=7"),
    ],
)
def test_every_setting_resumes_exactly(more: tuple[str, ...], composed: Compose):
    assert_resumes_exactly(composed(*BASE, *more))


@pytest.mark.parametrize("more", [(), KERNELS])
def test_shared_weights_resume_exactly(more: tuple[str, ...], composed: Compose):
    block = [{"conv": 6, "padding": 1}, "batch_norm", "relu"]
    layers = [{"conv": 6, "stride": 3}, {"repeat": 2, "shared": True, "layers": block}, {"conv": 10}, "global_avg_pool"]
    assert_resumes_exactly(composed(*BASE, *more, "ema_decay=0.9", "clip_grad_norm=0.1", "l1=0.01"), {"layers": layers})


def test_a_state_of_another_network_is_refused(composed: Compose):
    state = trainer(composed(*BASE)).state_dict()
    with pytest.raises(UserError, match="the checkpoint does not fit the run"):
        trainer(composed(*BASE), LAYERS).load_state_dict(state, [])


def test_a_state_of_another_scheduler_is_refused(composed: Compose):
    state = trainer(composed(*BASE, "scheduler=cosine")).state_dict()
    with pytest.raises(UserError, match="the checkpoint does not fit the run"):
        trainer(composed(*BASE, "scheduler=onecycle")).load_state_dict(state, [])


def test_a_packed_state_does_not_change_with_the_trainer(composed: Compose):
    saved: Trainer = trainer(composed(*BASE))
    content = checkpoint.pack(saved.state_dict())
    rows_of(saved.fit())
    assert first_difference(checkpoint.unpack(content)["model"], saved.state_dict()["model"]) is not None
