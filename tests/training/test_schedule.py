from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import LRScheduler

from mnist_lite.config.compose import config_dir
from mnist_lite.errors import RunError, UserError
from mnist_lite.training.schedule import Schedule, build_schedule
from mnist_lite.training.trial import rehearse

EPOCHS, STEPS, LR = 12, 20, 0.1
TOTAL = EPOCHS * STEPS


def optimizer(lr: float = LR) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


def curve(schedule: Schedule, opt: torch.optim.Optimizer, losses: list[float] | None = None) -> list[float]:
    """The rate of every step of a run, stepped as the engine steps it."""
    rates = []
    for epoch in range(EPOCHS):
        for _ in range(STEPS):
            rates.append(opt.param_groups[0]["lr"])
            opt.step()
            schedule.step("step", {})
        schedule.step("epoch", {"train/epoch_loss": losses[epoch] if losses else 1.0})
    return rates


BY_HAND: dict[str, tuple[str, Callable[[torch.optim.Optimizer], LRScheduler]]] = {
    "constant": ("epoch", lambda o: torch_schedulers.ConstantLR(o, factor=1.0)),
    "step": ("epoch", lambda o: torch_schedulers.StepLR(o, 6, 0.1)),
    "step8": ("epoch", lambda o: torch_schedulers.StepLR(o, 8, 0.1)),
    "halving": ("epoch", lambda o: torch_schedulers.StepLR(o, 6, 0.5)),
    "multistep": ("epoch", lambda o: torch_schedulers.MultiStepLR(o, [8, 12], 0.1)),
    "exponential": ("epoch", lambda o: torch_schedulers.ExponentialLR(o, 0.8)),
    "cosine": ("step", lambda o: torch_schedulers.CosineAnnealingLR(o, TOTAL)),
    "onecycle": ("step", lambda o: torch_schedulers.OneCycleLR(o, LR, TOTAL, pct_start=0.2, cycle_momentum=False)),
    "warmup": ("step", lambda o: torch_schedulers.LinearLR(o, 0.05, 1.0, STEPS)),
    "warmup_cosine": (
        "step",
        lambda o: torch_schedulers.SequentialLR(
            o,
            [torch_schedulers.LinearLR(o, 0.05, total_iters=24), torch_schedulers.CosineAnnealingLR(o, 216)],
            [24],
        ),
    ),
    "warmup_cosine_tail": (
        "step",
        lambda o: torch_schedulers.SequentialLR(
            o,
            [
                torch_schedulers.LinearLR(o, 0.05, total_iters=24),
                torch_schedulers.CosineAnnealingLR(o, 132, eta_min=0.003),
                torch_schedulers.LinearLR(o, 0.03, 0.0001, total_iters=84),
            ],
            [24, 156],
        ),
    ),
}


def test_every_shipped_file_is_here():
    assert {path.stem for path in (config_dir() / "scheduler").glob("*.yaml")} == {*BY_HAND, "plateau"}


@pytest.mark.parametrize("name", BY_HAND)
def test_rate_curve_against_torch_by_hand(name, composed):
    interval, make = BY_HAND[name]
    ours = optimizer()
    config = composed(f"scheduler={name}", f"optimizer.lr={LR}").scheduler
    rates = curve(build_schedule(config, ours, EPOCHS, STEPS, False), ours)
    theirs = optimizer()
    scheduler, expected = make(theirs), []
    for step in range(TOTAL):
        expected.append(theirs.param_groups[0]["lr"])
        theirs.step()
        if interval == "step" or (step + 1) % STEPS == 0:
            scheduler.step()
    assert rates == expected


def test_plateau_cuts_after_patience_epochs_without_progress(composed):
    opt = optimizer()
    schedule = build_schedule(composed("scheduler=plateau").scheduler, opt, EPOCHS, STEPS, False)
    rates = curve(schedule, opt, losses=[1.0, 0.5] + [0.5] * (EPOCHS - 2))
    # best at epoch 2; epochs 3 and 4 are borne (patience 2), epoch 5 cuts, 6 and 7 are borne, 8 cuts, 11 cuts
    assert rates[::STEPS] == pytest.approx([LR] * 5 + [0.3 * LR] * 3 + [0.09 * LR] * 3 + [0.027 * LR])


def test_onecycle_peaks_at_max_lr_and_ends_low(composed):
    opt = optimizer()
    config = composed("scheduler=onecycle", f"optimizer.lr={LR}").scheduler
    rates = curve(build_schedule(config, opt, EPOCHS, STEPS, False), opt)
    assert max(rates) == pytest.approx(LR)
    assert rates.index(max(rates)) == pytest.approx(0.2 * TOTAL, abs=1)
    assert rates[0] == pytest.approx(LR / 25)
    assert rates[-1] < LR / 1e5


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "StepLRR", "interval": "epoch"}, "did you mean StepLR?"),
        ({"name": "LambdaLR", "interval": "epoch", "lr_lambda": "print"}, "scheduler.name: 'LambdaLR' is no class"),
        ({"name": "StepLR"}, "scheduler.interval"),
        ({"name": "StepLR", "interval": "epochs", "step_size": 3}, "did you mean epoch?"),
        ({"name": "StepLR", "interval": "epoch"}, "scheduler.step_size: missing"),
        ({"name": "StepLR", "interval": "epoch", "step_size": 3, "gama": 0.1}, "did you mean gamma?"),
        ({"name": "StepLR", "interval": "epoch", "step_size": 0}, "StepLR cannot do 12 steps"),
        ({"name": "StepLR", "interval": "epoch", "step_size": 2, "monitor": "train/loss"}, "scheduler.monitor"),
        ({"name": "StepLR", "interval": "epoch", "step_size": 2, "schedulers": []}, "scheduler.schedulers"),
        ({"name": "CosineAnnealingLR", "interval": "step", "T_max": "all_steps"}, "scheduler.T_max"),
        ({"name": "CosineAnnealingLR", "interval": "step", "T_max": "1.2.3 * total_steps"}, "scheduler.T_max"),
        ({"name": "OneCycleLR", "interval": "step", "max_lr": 0.1}, "scheduler"),
        (
            {"name": "OneCycleLR", "interval": "step", "max_lr": 0.1, "total_steps": "total_steps", "pct_start": 2},
            "pct_start",
        ),
        ({"name": "OneCycleLR", "interval": "step", "max_lr": 0.1, "total_steps": 7}, "OneCycleLR cannot do 240 steps"),
        ({"name": "ReduceLROnPlateau", "interval": "step", "monitor": "train/epoch_loss"}, "interval: epoch"),
        (
            {"name": "ReduceLROnPlateau", "interval": "epoch", "monitor": "train/loss"},
            "scheduler.monitor: 'train/loss' is not allowed; did you mean train/epoch_loss?",
        ),
        (
            {"name": "ReduceLROnPlateau", "interval": "epoch", "monitor": "train/accuracy"},
            "did you mean train/epoch_accu",
        ),
        ({"name": "ReduceLROnPlateau", "interval": "epoch", "monitor": "test/acuracy"}, "did you mean test/accuracy?"),
        ({"name": "ReduceLROnPlateau", "interval": "epoch"}, "scheduler.monitor: missing"),
        ({"name": "ReduceLROnPlateau", "interval": "epoch", "monitor": "holdout/loss"}, "data.holdout"),
        ({"name": "ReduceLROnPlateau", "interval": "epoch", "monitor": "trian/loss"}, "scheduler.monitor"),
        ({"name": "SequentialLR", "interval": "epoch", "milestones": [3]}, "scheduler.schedulers"),
        ({"name": "ExponentialLR", "interval": "epoch", "gamma": -1}, "gives lr -0.1 at its step 1"),
        ({"name": "OneCycleLR", "interval": "step", "max_lr": -0.1, "total_steps": "total_steps"}, "gives lr -0.004"),
        ({"name": "CosineAnnealingLR", "interval": "step", "T_max": "1e400 * total_steps"}, "scheduler.T_max"),
        ({"name": "CosineAnnealingLR", "interval": "step", "T_max": "-1 * total_steps"}, "scheduler.T_max"),
        (
            {"name": "SequentialLR", "interval": "epoch", "milestones": [3], "schedulers": [{"name": "StepLR"}]},
            "scheduler.schedulers.0.step_size: missing",
        ),
    ],
)
def test_bad_arguments_are_one_line(config, said):
    with pytest.raises(UserError) as caught:
        rehearse(config, optimizer(), EPOCHS, STEPS, False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "ConstantLR", "factor": 0.0, "total_iters": 60_000}, "division by zero"),
        ({"name": "PolynomialLR", "power": -1.0, "total_iters": 70_000}, "cannot do 100000 steps"),
        ({"name": "StepLR", "step_size": 80_000, "gamma": -0.1}, "gives lr -0.01 at its step 80000"),
        ({"name": "CosineAnnealingLR", "T_max": 90_000, "eta_min": -0.1}, "gives lr -"),
        ({"name": "ExponentialLR", "gamma": 1.01}, "gives lr inf"),
        ({"name": "OneCycleLR", "max_lr": 0.1, "total_steps": 99_999}, "cannot do 100000 steps"),
        (
            {
                "name": "SequentialLR",
                "milestones": [60_000],
                "schedulers": [{"name": "ConstantLR", "total_iters": 1}, {"name": "StepLR", "step_size": 0}],
            },
            "modulo by zero",
        ),
    ],
)
def test_a_schedule_that_fails_after_50_000_steps_is_refused_before_training(config, said):
    with pytest.raises(UserError) as caught:
        rehearse({**config, "interval": "step"}, optimizer(), 1_000, 100, False)
    assert said in str(caught.value)


def test_a_one_cycle_that_is_too_short_is_refused_at_any_length():
    config = {"name": "OneCycleLR", "interval": "step", "max_lr": 0.1, "total_steps": 10**9 - 1}
    with pytest.raises(UserError, match="OneCycleLR has 999999999 steps and the run has 1000000000"):
        rehearse(config, optimizer(), 1_000, 10**6, False)


@pytest.mark.parametrize("start", [0.05, 0.3, 1 / 3, 0.7, 1.0])
def test_a_line_down_to_zero_is_not_refused_for_a_rounding_error(start):
    """torch gives a rate of about -1e-18 at the end of the line."""
    for steps in (7, 12, 24, 100):
        config = {
            "name": "LinearLR",
            "interval": "step",
            "start_factor": start,
            "end_factor": 0.0,
            "total_iters": steps,
        }
        rehearse(config, optimizer(), 1, steps + 2, False)


def test_a_step_that_fails_in_training_is_one_line():
    """A rehearsal does not reach a step after the millionth."""
    config = {"name": "OneCycleLR", "interval": "step", "max_lr": 0.1, "total_steps": 3}
    opt = optimizer()
    plan = build_schedule(config, opt, 1, 4, False)
    opt.step()
    for _ in range(3):
        plan.step("step", {})
    with pytest.raises(RunError, match=r"scheduler: OneCycleLR cannot do another step: .*total steps"):
        plan.step("step", {})
