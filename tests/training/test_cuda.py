"""Training on a GPU. Skipped where there is none, as in CI. docs/performance.md says when these tests last ran."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mnist_lite.backends.cuda_graph import WARM_UP_STEPS, GraphedStep
from mnist_lite.backends.device import set_arithmetic
from mnist_lite.config.compose import config_dir
from mnist_lite.data.augment.pipeline import TRANSFORMS, build
from mnist_lite.model.layers import LAYERS
from mnist_lite.reporting.console import Console
from mnist_lite.runner.setup import set_up_run
from mnist_lite.training.trainer import DivergedError, Trainer
from tests.conftest import Compose
from tests.training.trainers import TINY, rows_of, without_times

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

FEW = ("data=digits", "data.train_limit=330", "data.test_limit=100", "batch_size=32", "epochs=2")
"""Two epochs of 11 steps. The last batch of each is smaller than the others."""
RMSPROP = {"name": "RMSprop", "lr": 0.001}
AUGMENTS = sorted(path.stem for path in (config_dir() / "augment").glob("*.yaml"))


@pytest.fixture(autouse=True)
def arithmetic_of_the_cpu() -> Iterator[None]:
    """Restores torch's global switches."""
    yield
    set_arithmetic(torch.device("cpu"), "fp32")


@pytest.fixture
def make(composed: Compose) -> Any:
    """``make(*overrides, device="cuda", recorded=True, **parts)``: a trainer of ``FEW``. ``parts``: parts of the config."""

    def make_trainer(*overrides: str, device: str = "cuda", recorded: bool = True, **parts: dict[str, Any]) -> Trainer:
        config = composed(*FEW, "optimizer.lr=0.01", *overrides, f"device={device}")
        for name, part in parts.items():
            setattr(config, name, part)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.closing(Console()) as console:
            made = set_up_run(config, console).trainer
        if not recorded and isinstance(made._make_step, GraphedStep):
            made._make_step._batch_size = -1  # no batch has this size
        return made

    return make_trainer


def tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    """All weights, buffers and averages."""
    state = trainer.state_dict()
    return {**state["model"], **{f"ema {key}": value for key, value in (state["ema"] or {}).items()}}


def assert_same(one: Trainer, other: Trainer) -> None:
    """Both trainers have the same bits."""
    assert tensors(one).keys() == tensors(other).keys()
    for key, value in tensors(one).items():
        assert torch.equal(value, tensors(other)[key]), key


def assert_a_recording_changes_nothing(
    make: Any, *overrides: str, with_update: bool = True, **parts: dict[str, Any]
) -> None:
    """Every row and every weight is the same with and without the recording."""
    assert_equal_training(make(*overrides, **parts), make(*overrides, **parts, recorded=False), with_update)


def assert_equal_training(recorded: Trainer, computed: Trainer, with_update: bool = True) -> None:
    """``recorded`` used a recording, and both have the same rows and weights. ``with_update``: the update is recorded."""
    rows = without_times(rows_of(recorded.fit()))
    assert isinstance(recorded._make_step, GraphedStep)
    assert recorded._make_step._recording is not None
    assert (recorded._make_step._recording.settings is not None) == with_update
    assert rows == without_times(rows_of(computed.fit()))
    assert_same(recorded, computed)


@pytest.mark.parametrize(("optimizer", "tolerance"), [("sgd", 2e-3), ("adamw", 2e-2)])
def test_a_gpu_learns_like_the_cpu(optimizer: str, tolerance: float, make: Any):
    """Without random numbers on the device, both compute the same, except for rounding. AdamW enlarges small differences."""
    overrides = (f"optimizer={optimizer}", "augment=none", "model=step1", "optimizer.lr=0.003")
    gpu, cpu = rows_of(make(*overrides).fit()), rows_of(make(*overrides, device="cpu").fit())
    assert len(gpu) == len(cpu) == 24
    for one, other in zip(gpu, cpu, strict=True):
        for key in ("train/loss", "test/loss"):
            if key in one:
                assert one[key] == pytest.approx(other[key], rel=tolerance), one["step"]


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=era4",),
        ("model=salvation", "optimizer=sgd", "clip_grad_norm=1"),
        ("model=era4", "precision=bf16", "label_smoothing=0.1"),
        ("model=era4", "precision=tf32", "memory_format=channels_last"),
        ("model=eva5", "ema_decay=0.9", "l1=0.0001"),
    ],
)
def test_a_recording_changes_nothing(overrides: tuple[str, ...], make: Any):
    assert_a_recording_changes_nothing(make, "augment=strong", *overrides)


def test_an_optimizer_without_a_fused_form(make: Any):
    assert_a_recording_changes_nothing(make, optimizer=RMSPROP, with_update=False)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "adamw"])
def test_a_rate_that_changes_in_every_step(optimizer: str, make: Any):
    assert_a_recording_changes_nothing(
        make, "model=era4", f"optimizer={optimizer}", "scheduler=onecycle", "optimizer.decay_bias_and_norm=false"
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_momentum_that_changes_in_every_step(optimizer: str, make: Any):
    overrides = (f"optimizer={optimizer}", "scheduler=onecycle", "scheduler.cycle_momentum=true")
    assert_a_recording_changes_nothing(make, *overrides, model=TINY, with_update=False)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_every_augmentation_can_be_recorded(augment: str, make: Any):
    assert_a_recording_changes_nothing(make, f"augment={augment}", model=TINY)


def test_every_transform_can_be_recorded(make: Any):
    arguments: dict[str, Any] = {
        "rotate": {"rotate": 10},
        "translate": {"translate": 2},
        "scale": {"scale": 0.9, "high": 1.1},
        "shear": {"shear": 5},
        "crop": {"crop": 2},
        "erase": "erase",
        "brightness": {"brightness": 0.2},
        "contrast": {"contrast": 0.2},
        "noise": {"noise": 0.1},
        "elastic": "elastic",
    }
    assert arguments.keys() == TRANSFORMS.keys()
    recorded, computed = make(model=TINY), make(model=TINY, recorded=False)
    for trainer in (recorded, computed):
        trainer.augment = build({"transforms": list(arguments.values())})
    assert_equal_training(recorded, computed)


def test_every_layer_can_be_recorded(make: Any):
    main = {"conv": 4, "linear": 10, "max_pool": 2, "avg_pool": 2, "group_norm": 2, "dropout": 0.1, "dropout2d": 0.1}
    layers: list[Any] = [{"conv": 4, "stride": 2}]
    layers += [
        {word: main[word]} if word in main else word
        for word in LAYERS
        if word not in ("flatten", "linear", "global_avg_pool")
    ]
    residual = {"residual": [{"conv": 8, "padding": 1}, "batch_norm", "relu"]}
    pooled = {"layers": [*layers, residual, {"conv": 10, "kernel": 1}, "global_avg_pool"]}
    assert_a_recording_changes_nothing(make, "augment=none", model=pooled)
    assert_a_recording_changes_nothing(make, "augment=none", model={"layers": [*layers, "flatten", {"linear": 10}]})


@pytest.mark.parametrize("first", [2, 7, 13])
def test_a_resumed_training_equals_one_without_a_stop(first: int, make: Any):
    """The resumed one computes the steps that the other one replays."""
    overrides = ("model=era4", "augment=strong", "scheduler=onecycle", "ema_decay=0.9")
    whole, stopped, resumed = make(*overrides), make(*overrides), make(*overrides)
    expected = rows_of(whole.fit())
    fit = stopped.fit()
    rows = [row for _ in range(first) for row in next(fit)] + stopped.drain()
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()), rows)
    rows += rows_of(resumed.fit())
    assert without_times(rows) == without_times(expected)
    assert_same(resumed, whole)


@pytest.mark.parametrize("parts", [{}, {"optimizer": RMSPROP}], ids=["fused", "undone"])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_step_that_is_not_finite_is_not_made(parts: Any, recorded: bool, make: Any):
    trainer: Trainer = make("model=era4", "epochs=20", recorded=recorded, **parts)
    fit = trainer.fit()
    for _ in range(WARM_UP_STEPS + 3):
        next(fit)
    weight = next(trainer.module.parameters())
    weight.data.view(-1)[0] = float("inf")
    before = {name: p.detach().clone() for name, p in trainer.module.named_parameters()}
    with pytest.raises(DivergedError, match=f"step {WARM_UP_STEPS + 4} "):
        rows_of(fit)
    assert trainer.step > WARM_UP_STEPS + 4  # the host did not wait for the step
    for name, parameter in trainer.module.named_parameters():
        assert torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("more", [(), ("ema_decay=0.9",), ("clip_grad_norm=1",), ("optimizer=sgd", "l1=0.001")])
def test_the_host_never_waits_in_a_step(more: tuple[str, ...], recorded: bool, make: Any):
    trainer: Trainer = make("model=era4", "augment=strong", "batch_size=8", *more, recorded=recorded)
    fit = trainer.fit()
    for _ in range(WARM_UP_STEPS + 3):
        next(fit)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            next(fit)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_smaller_batch_is_computed_and_the_others_are_replayed(make: Any, monkeypatch: pytest.MonkeyPatch):
    trainer: Trainer = make(model=TINY)
    sizes: list[int] = []
    compute = trainer._compute_gradients

    def counted(indices: torch.Tensor, seed: int) -> Any:
        sizes.append(len(indices))
        return compute(indices, seed)

    assert isinstance(trainer._make_step, GraphedStep)
    monkeypatch.setattr(trainer._make_step, "_gradients", counted)
    rows_of(trainer.fit())
    assert sizes == [32] * (WARM_UP_STEPS + 1) + [10, 10]
