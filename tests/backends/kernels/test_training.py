"""Whole runs with the kernels: the same as with torch's modules, deterministic, and without a memory leak."""

from __future__ import annotations

import copy
import resource
import sys
import warnings

import pytest
import torch

from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.kernels.build import compiler_command
from tests.backends.kernels.networks import HEAD, SHAPE, batch, network
from tests.conftest import Compose
from tests.training.trainers import BASE, rows_of, trainer, without_times

pytestmark = pytest.mark.skipif(not compiler_command(), reason="no C++ compiler here")

LAYERS = {
    "layers": [
        {"conv": 6, "kernel": 3},
        "batch_norm",
        "relu",
        {"dropout": 0.0},
        {"max_pool": 2},
        {"conv": 10},
        "global_avg_pool",
    ]
}
MORE = ("label_smoothing=0.1", "l1=1e-4", "clip_grad_norm=1", "ema_decay=0.9", "augment=rotation", "eval_every=3")


def test_a_run_is_the_same_as_torchs_except_for_rounding(composed: Compose):
    kernels, eager = (trainer(composed(*BASE, *MORE, f"backend={word}"), LAYERS) for word in ("kernels", "torch"))
    assert (kernels.backend.name, eager.backend.name) == ("kernels", "torch")
    rows, expected_rows = rows_of(kernels.fit()), rows_of(eager.fit())
    assert len(rows) == len(expected_rows)
    for row, expected in zip(without_times(rows), without_times(expected_rows), strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-3)
    for a, b in zip(kernels.module.state_dict().values(), eager.module.state_dict().values(), strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=1e-3, atol=1e-4)
    assert kernels.ema is not None and eager.ema is not None
    for a, b in zip(kernels.ema.state_dict().values(), eager.ema.state_dict().values(), strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=1e-3, atol=1e-4)


def test_two_runs_are_the_same_bit_for_bit(composed: Compose):
    runs = [trainer(composed(*BASE, *MORE, "backend=kernels")) for _ in range(2)]
    first, second = (without_times(rows_of(run.fit())) for run in runs)
    assert first == second
    for a, b in zip(runs[0].module.state_dict().values(), runs[1].module.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_memory_does_not_grow_with_the_steps():
    module, (images, labels) = network([{"conv": 8, "kernel": 3}, "batch_norm", "relu", *HEAD]), batch(64)
    ours = KernelBackend(module, SHAPE, 0.0, 2)

    def peak_after(steps: int) -> int:
        for step in range(steps):
            ours.gradients(images, labels, step)
            ours.evaluate(module, images, labels)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    before = peak_after(50)
    assert peak_after(500) - before < 2_000_000  # one batch's maps are 12 MB


def test_the_memory_of_a_network_is_freed():
    (images, labels) = batch(64)

    def peak_after(times: int) -> int:
        for _ in range(times):
            module = network([{"conv": 8, "kernel": 3}, *HEAD])
            KernelBackend(module, SHAPE, 0.0, 2).gradients(images, labels, 1)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    before = peak_after(5)
    assert peak_after(50) - before < 20_000_000


def test_a_resumed_training_has_no_warning_of_torchs_scheduler(composed: Compose):
    """torch warns if its optimizer did no step before the scheduler. In a resumed training, the kernels do all steps."""
    overrides = (*BASE, "backend=kernels", "scheduler=step")
    stopped, resumed = trainer(composed(*overrides)), trainer(composed(*overrides))
    fit = stopped.fit()
    rows = [row for _ in range(2) for row in next(fit)]
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()), rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows += rows_of(resumed.fit())
    assert without_times(rows) == without_times(rows_of(trainer(composed(*overrides)).fit()))
