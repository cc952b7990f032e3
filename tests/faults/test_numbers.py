"""Numbers that go wrong in the middle of a run: nothing of them gets into the weights or into a checkpoint."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mnist_lite.backends import nonfinite
from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.torch_backend import StepResult, TorchBackend
from mnist_lite.training.trainer import DivergedError
from tests.conftest import Compose
from tests.faults.child import train
from tests.faults.compare import assert_same_run, rows, same
from tests.faults.recipes import FEW, RECIPES
from tests.training.trainers import trainer


@dataclass
class Bad:
    """The loss or the gradients of one step are not finite."""

    step: int
    what: str
    value: float = math.nan
    device_like: bool = False

    def __call__(self) -> None:
        """Arms it."""
        original, steps = TorchBackend._forward, itertools.count(1)

        def stricken(run: TorchBackend, network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
            logits = original(run, network, inputs)
            if network.training and next(steps) == self.step:
                if self.what == "loss":
                    return logits * self.value
                logits.register_hook(lambda gradient: gradient * self.value)
            return logits

        setattr(TorchBackend, "_forward", stricken)  # noqa: B010
        compute = KernelBackend.gradients

        def stricken_kernels(run: KernelBackend, inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> StepResult:
            strikes = next(steps) == self.step
            if not strikes or self.what == "loss":
                return compute(run, inputs * self.value if strikes else inputs, labels, seed)
            figures = compute(run, inputs, labels, seed)
            run._gradients[3] *= self.value
            return replace(figures, finite=torch.tensor(False))

        setattr(KernelBackend, "gradients", stricken_kernels)  # noqa: B010
        if self.device_like:
            make_device_like()


def make_device_like() -> None:
    """The path of a GPU on the CPU: updates are taken back, and figures are read many steps later."""
    engine: Any = __import__("mnist_lite.training.trainer", fromlist=["engine"])
    engine.step_if = nonfinite.step_and_undo
    recorder = engine.StepRecorder

    def late(device: torch.device) -> Any:
        made = recorder(device)
        made._size = 32
        return made

    engine.StepRecorder = late


@pytest.mark.parametrize("device_like", [False, True])
@pytest.mark.parametrize(("what", "value"), [("loss", math.nan), ("gradient", math.inf)])
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_run_stops_before_the_update(
    recipe: str, what: str, value: float, device_like: bool, references: dict[str, Path], tmp_path: Path
):
    done = train(tmp_path, *FEW, *RECIPES[recipe], "checkpoint.steps=3", fault=Bad(8, what, value, device_like))
    assert done.code == 1, done.text
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert f"{'a gradient' if what == 'gradient' else 'train/loss (nan)'}" in line
    assert "not finite at step 8 (epoch 2, lr " in line
    (run,) = (tmp_path / "runs").iterdir()
    assert f"last good checkpoint: runs/{run.name}/last.pt (step 6)" in line
    assert "Traceback" not in done.text
    assert rows(run)[-1]["step"] == 7
    state = torch.load(run / "last.pt", weights_only=True)
    assert state["step"] == 6
    assert all(tensor.isfinite().all() for tensor in state["model"].values())
    # the fault was in the machine: what goes on from there is the run that never met it
    assert train(tmp_path, f"resume={run}").code == 0
    assert_same_run(run, references[recipe])


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_the_weights_are_those_from_before(what: str, composed: Compose, monkeypatch: pytest.MonkeyPatch):
    """In memory too, on both paths, though a GPU is told of it only steps later."""
    config = composed(*FEW, *RECIPES["onecycle"])
    before = trainer(config, config.model)
    for _ in zip(range(7), before.fit(), strict=False):
        pass
    original, step_if = TorchBackend._forward, nonfinite.step_if
    for update, size in ((step_if, 1), (nonfinite.step_and_undo, 32)):
        monkeypatch.setattr(TorchBackend, "_forward", original)
        Bad(8, what)()
        monkeypatch.setattr("mnist_lite.training.trainer.step_if", update)
        struck = trainer(config, config.model)
        struck._recorder._size = size
        with pytest.raises(DivergedError, match="step 8"):
            for _ in struck.fit():
                pass
        ours, theirs = dict(struck.module.named_parameters()), dict(before.module.named_parameters())
        assert same({k: v.detach() for k, v in ours.items()}, {k: v.detach() for k, v in theirs.items()})
    monkeypatch.setattr(TorchBackend, "_forward", original)


def test_a_rate_that_is_too_high_is_named(tmp_path: Path):
    done = train(
        tmp_path, *FEW, "model=step1", "optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "init=torch"
    )
    assert done.code == 1
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert "lr 1e+30" in line and "training has diverged" in line and "no checkpoint was due before" in line
    (run,) = (tmp_path / "runs").iterdir()
    for text in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        assert all(math.isfinite(value) for value in json.loads(text).values())
