"""NaN and infinity in the middle of a run: they never get into the weights or into a checkpoint."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mnist_lite.backends import finite_step, weight_update
from mnist_lite.backends.backend import StepResult
from mnist_lite.backends.kernels.backend import KernelBackend
from mnist_lite.backends.torch_backend import TorchBackend
from mnist_lite.data.raw_batch import Inputs, RawBatch
from mnist_lite.training import trainer as trainer_module
from mnist_lite.training.trainer import DivergedError
from tests.conftest import Compose
from tests.faults.child import train
from tests.faults.compare import assert_same_run, rows, same
from tests.faults.recipes import FEW, RECIPES
from tests.training.trainers import trainer


@dataclass
class NotFinite:
    """The loss or a gradient of one step is not finite. ``device_like``: handled as on a GPU."""

    step: int
    what: str
    value: float = math.nan
    device_like: bool = False

    def __call__(self) -> None:
        original, steps = TorchBackend._forward, itertools.count(1)

        def faulty(run: TorchBackend, network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
            logits = original(run, network, inputs)
            if network.training and next(steps) == self.step:
                if self.what == "loss":
                    return logits * self.value
                logits.register_hook(lambda gradient: gradient * self.value)
            return logits

        setattr(TorchBackend, "_forward", faulty)  # noqa: B010
        compute = KernelBackend.gradients

        def faulty_kernels(run: KernelBackend, inputs: Inputs, labels: torch.Tensor, seed: int) -> StepResult:
            strikes = next(steps) == self.step
            if strikes and self.what == "loss":
                assert isinstance(inputs, RawBatch)
                inputs = replace(inputs, mean=self.value)  # every pixel of the input has this value then
            if not strikes or self.what == "loss":
                return compute(run, inputs, labels, seed)
            figures = compute(run, inputs, labels, seed)
            run._gradients[3] *= self.value
            return replace(figures, finite=torch.tensor(False))

        setattr(KernelBackend, "gradients", faulty_kernels)  # noqa: B010
        if self.device_like:
            make_device_like()


def make_device_like() -> None:
    """The code for a GPU, on the CPU: updates are taken back, and losses are read many steps later."""
    module: Any = trainer_module
    update_module: Any = weight_update
    update_module.step_if = finite_step.step_on_device
    recorder = module.StepRecorder

    def late(device: torch.device) -> Any:
        created = recorder(device)
        created._size = 32
        return created

    module.StepRecorder = late


CASES = [
    (recipe, what, value, device_like)
    for recipe in RECIPES
    for what, value in (("loss", math.nan), ("gradient", math.inf))
    for device_like in (False, True)
]
SHORT_CASES = (CASES[0], CASES[7], CASES[10], CASES[13], CASES[14])  # each recipe, error and code path


@pytest.mark.parametrize(
    ("recipe", "what", "value", "device_like"),
    [pytest.param(*case, marks=[] if case in SHORT_CASES else pytest.mark.long) for case in CASES],
)
def test_the_run_stops_before_the_update(
    recipe: str, what: str, value: float, device_like: bool, references: dict[str, Path], tmp_path: Path
):
    done = train(tmp_path, *FEW, *RECIPES[recipe], "checkpoint.steps=3", fault=NotFinite(8, what, value, device_like))
    assert done.code == 1, done.text
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert what in line and "at step 8 (epoch 2, lr " in line
    (run,) = (tmp_path / "runs").iterdir()
    assert f"runs/{run.name}/last.pt (step 6)" in line
    assert "Traceback" not in done.text
    assert rows(run)[-1]["step"] == 7
    state = torch.load(run / "last.pt", weights_only=True)
    assert state["step"] == 6
    assert all(tensor.isfinite().all() for tensor in state["model"].values())
    # The fault was in the machine, so the resumed run equals a run without the fault.
    assert train(tmp_path, f"resume={run}").code == 0
    assert_same_run(run, references[recipe])


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_the_weights_do_not_change(what: str, composed: Compose, monkeypatch: pytest.MonkeyPatch):
    """In memory too, with the code for the CPU and with that for a GPU, which detects the error some steps later."""
    config = composed(*FEW, *RECIPES["onecycle"])
    before = trainer(config, config.model)
    for _ in zip(range(7), before.fit(), strict=False):
        pass
    monkeypatch.setattr(KernelBackend, "gradients", KernelBackend.gradients)  # restored after the test
    original, step_if = TorchBackend._forward, finite_step.step_if
    for update, size in ((step_if, 1), (finite_step.step_on_device, 32)):
        monkeypatch.setattr(TorchBackend, "_forward", original)
        NotFinite(8, what)()
        monkeypatch.setattr("mnist_lite.backends.weight_update.step_if", update)
        faulty = trainer(config, config.model)
        faulty._recorder._size = size
        with pytest.raises(DivergedError, match="step 8"):
            for _ in faulty.fit():
                pass
        weights, expected = dict(faulty.module.named_parameters()), dict(before.module.named_parameters())
        assert same({k: v.detach() for k, v in weights.items()}, {k: v.detach() for k, v in expected.items()})
    monkeypatch.setattr(TorchBackend, "_forward", original)


def test_a_learning_rate_that_is_too_high_is_named(tmp_path: Path):
    done = train(
        tmp_path, *FEW, "model=step1", "optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "init=torch"
    )
    assert done.code == 1
    (line,) = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert "lr 1e+30" in line and "optimizer.lr" in line
    (run,) = (tmp_path / "runs").iterdir()
    for text in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        assert all(math.isfinite(value) for value in json.loads(text).values())
