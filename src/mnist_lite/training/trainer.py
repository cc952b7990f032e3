"""The training loop: the only one, for CPU, CUDA and MPS.

Input: a config, a network, its backend, optimizer and schedule, and the data. Output: rows of metrics, one list after
each step. The trainer knows nothing about files, the terminal or signals. The code that iterates over ``fit`` prints,
draws and saves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import torch
from msgspec import Meta
from torch import nn

from mnist_lite.backends.backend import Backend, StepResult
from mnist_lite.backends.cuda_graph import GraphedStep, OnBatch
from mnist_lite.backends.weight_update import WeightUpdate
from mnist_lite.config.schema import Config
from mnist_lite.data.augment.pipeline import Augment
from mnist_lite.data.dataset import Dataset, Split
from mnist_lite.data.raw_batch import Inputs
from mnist_lite.errors import UserError
from mnist_lite.rng import derive, generator
from mnist_lite.training.saved_state import WrongStateError, check_state
from mnist_lite.training.schedule import Schedule
from mnist_lite.training.step_metrics import Row, StepRecorder
from mnist_lite.training.trial import Trial

EVAL_BATCH = 500


class DivergedError(Exception):
    """A loss, a gradient or another metric is not finite. The update of such a training step is not made."""

    def __init__(self, row: Row, rows: list[Row]) -> None:
        """``row`` is the first row with a value that is not finite.

        ``rows`` are the earlier rows that ``fit`` has not yielded yet.
        """
        name = next((f"{key} ({value})" for key, value in row.items() if not math.isfinite(value)), "a gradient")
        super().__init__(f"{name} is not finite at step {row['step']} (epoch {row['epoch']}, lr {row['lr']:.3g})")
        self.rows = rows


class TrainerState(TypedDict):
    """All that a trainer needs to continue: tensors and plain values.

    Random numbers are computed from the seed and the epoch or step, so no random state is saved.
    """

    epoch: int
    """The current epoch. The first is 1. The value 0 means that training has not begun."""
    step: int
    target_reached: bool
    """Whether an evaluation has reached ``stop_at_accuracy``."""
    seconds: Annotated[float, Meta(ge=0, le=1e12)]
    """Training time of this epoch so far."""
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    ema: dict[str, Any] | None
    """The average of the weights, with ``ema_decay``."""


class Trainer:
    """A network, its optimizer and its data, and the progress of the training."""

    def __init__(
        self,
        config: Config,
        module: nn.Module,
        backend: Backend,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        augment: Augment,
        data: Dataset,
        device: torch.device,
    ) -> None:
        """``module`` is on ``device``. ``data`` is on ``device`` or, if the device has no room for it, on the CPU."""
        self.config, self.module, self.backend = config, module, backend
        self.optimizer, self.schedule = optimizer, schedule
        self.augment, self.data, self.device = augment, data, device
        self._weight_update = WeightUpdate(module, optimizer, config.l1, config.clip_grad_norm, config.ema_decay)
        self._draws = torch.Generator(device)  # for the augmentation
        self._finite_so_far = torch.tensor(True, device=device)
        self._prepare_step()
        self.ema = self._weight_update.average
        self.eval_module = module if self.ema is None else self.ema.module
        self.epoch = 0
        self.step = 0
        self._target_reached = False
        self._seconds = 0.0
        self._recorder = StepRecorder(device)
        self._epoch_rows: list[Row] = []

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch. The last batch may be smaller than the others."""
        return math.ceil(len(self.data.train) / self.config.batch_size)

    @property
    def done(self) -> bool:
        """Whether the training is complete."""
        return self._target_reached or self.step >= self.config.epochs * self.steps_per_epoch

    def fit(self) -> Iterator[list[Row]]:
        """Trains to the last epoch, or to ``stop_at_accuracy``. Yields the new rows after every step.

        The row of a training step may be yielded some steps later, but always before the next evaluation row. When
        ``fit`` yields, the step is complete. If an evaluation was due after it, that is complete too.

        Raises:
            DivergedError: a metric or a gradient is not finite.
        """
        while not self.done:
            if self.step % self.steps_per_epoch == 0:
                self.epoch += 1
                self._epoch_rows, self._seconds = [], 0.0
            for batch in self._batches()[self.step % self.steps_per_epoch :]:
                yield self._step_and_evaluate(batch)
                if self.done:
                    return

    def drain(self) -> list[Row]:
        """The rows that were not yielded yet. Waits for the device. Call it before ``state_dict``.

        Raises:
            DivergedError: a loss or a gradient is not finite.
        """
        return self._keep_rows(self._recorder.drain())

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Mean cross-entropy, and accuracy in percent, over all images of ``split``, in evaluation mode."""
        sums = []
        for indices in torch.arange(len(split), device=split.labels.device).split(EVAL_BATCH):
            inputs, labels = self._inputs_and_labels(split, indices)
            sums.append(self.backend.evaluate(self.eval_module, inputs, labels))
        loss, correct = torch.stack(sums).sum(0).tolist()
        return loss / len(split), 100 * correct / len(split)

    def state_dict(self) -> TrainerState:
        """The state. Its tensors are those of the trainer, not copies."""
        if self.ema is not None:
            self.ema.n_averaged.fill_(self.step)  # a step that a GPU replays does not count there
        return {
            "epoch": self.epoch,
            "step": self.step,
            "target_reached": self._target_reached,
            "seconds": self._seconds,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.scheduler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def load_state_dict(self, state: TrainerState, rows: list[Row]) -> None:
        """Continues from ``state``. ``rows`` are all rows that were yielded before it.

        Raises:
            UserError: the state belongs to another network, optimizer or schedule.
        """
        own = self.state_dict()
        if state["step"]:
            own["optimizer"]["state"] = Trial(self.config, self.module).optimizer_state()
        try:
            check_state(state["model"], own["model"], "model")
            check_state(state["optimizer"], own["optimizer"], "optimizer")
            check_state(state["scheduler"], own["scheduler"], "scheduler")
            check_state(state["ema"], own["ema"], "ema")
        except WrongStateError as error:
            raise UserError(f"resume: the checkpoint does not fit the run: {error}") from error
        if state["step"] < 0 or state["epoch"] != math.ceil(state["step"] / self.steps_per_epoch):
            raise UserError(
                f"resume: the checkpoint does not fit the run: step {state['step']} is not in epoch {state['epoch']}"
            )
        self.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.scheduler.load_state_dict(state["scheduler"])
        # Otherwise torch warns that the scheduler steps first: the kernels make the steps of its optimizer.
        self.optimizer._opt_called = state["step"] > 0  # type: ignore[attr-defined]
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"] or {})
        self._prepare_step()
        self.epoch, self.step = state["epoch"], state["step"]
        self._target_reached, self._seconds = state["target_reached"], state["seconds"]
        self._epoch_rows = [row for row in rows if row["epoch"] == self.epoch and "train/loss" in row]

    def _batches(self) -> list[torch.Tensor]:
        """The indices of each batch of the epoch. Every image comes once, in an order that is new in each epoch."""
        shuffle = generator(torch.device("cpu"), self.config.seed, "order", self.epoch)
        order = torch.randperm(len(self.data.train), generator=shuffle)
        return list(order.to(self.data.train.images.device).split(self.config.batch_size))

    def _step_and_evaluate(self, batch: torch.Tensor) -> list[Row]:
        """A training step, and an evaluation if one is due. Returns the new rows."""
        started = time.perf_counter()
        lr = self._train_step(batch)
        epoch_end = self.step % self.steps_per_epoch == 0
        if not epoch_end and not (self.config.eval_every and self.step % self.config.eval_every == 0):
            rows = self._keep_rows(self._recorder.ready())
            self._seconds += time.perf_counter() - started
            return rows
        rows = self.drain()
        self._seconds += time.perf_counter() - started
        row = self._evaluation_row(lr, epoch_end)
        if not all(map(math.isfinite, row.values())):
            raise DivergedError(row, rows)
        if epoch_end:
            self.schedule.step("epoch", row)
        target = self.config.stop_at_accuracy
        self._target_reached = target is not None and row[f"{self.data.selection_split}/accuracy"] >= target
        return [*rows, row]

    def _train_step(self, batch: torch.Tensor) -> float:
        """One update of the weights. Returns its learning rate."""
        config = self.config
        self.step += 1
        self._draws.manual_seed(derive(config.seed, "augment", self.step))
        lr = float(self.optimizer.param_groups[0]["lr"])
        result = self._make_step(batch, derive(config.seed, "dropout", self.step))
        self.schedule.step("step", {})
        row: Row = {"step": self.step, "epoch": self.epoch, "lr": lr}
        self._recorder.add(row, len(batch), result.loss, result.correct, result.finite)
        return lr

    def _prepare_step(self) -> None:
        """Prepares the update and, on a GPU, the recording. Both keep addresses of tensors of the state."""
        self._update = self.backend.prepare_update(self._weight_update)
        self._make_step: OnBatch = self._compute_step
        if self.device.type == self.data.train.images.device.type == "cuda":
            self._make_step = GraphedStep(
                self._compute_gradients, self._update_weights, self.optimizer, self.config.batch_size, self._draws
            )

    def _compute_step(self, batch: torch.Tensor, seed: int) -> StepResult:
        """Sets the gradients for the training images ``batch``, and updates the weights."""
        result = self._compute_gradients(batch, seed)
        self._update_weights(result.finite)
        return result

    def _compute_gradients(self, batch: torch.Tensor, seed: int) -> StepResult:
        """Sets the gradients for the training images ``batch``. The random numbers of dropout depend on ``seed`` only."""
        inputs, labels = self._inputs_and_labels(self.data.train, batch, self.augment, self._draws)
        return self.backend.gradients(inputs, labels, seed)

    def _update_weights(self, finite: torch.Tensor) -> None:
        """Updates the weights if this step and all earlier ones are finite."""
        self._finite_so_far.logical_and_(finite)
        self._update(self._finite_so_far)

    def _inputs_and_labels(
        self,
        split: Split,
        indices: torch.Tensor,
        augment: Augment | None = None,
        draws: torch.Generator | None = None,
    ) -> tuple[Inputs, torch.Tensor]:
        """The images ``indices`` of ``split`` for the backend, and their labels."""
        labels = split.labels[indices].to(self.device, non_blocking=True)
        if self.backend.takes_raw_batches and (augment is None or augment.only_moves):
            return self.data.raw_batch(split, indices, augment, draws), labels
        return self.data.inputs(split.images[indices], self.device, augment, draws), labels

    def _keep_rows(self, rows: list[Row]) -> list[Row]:
        """Adds ``rows`` to the epoch, and returns them. Raises ``DivergedError`` if a step was not finite."""
        self._epoch_rows += rows
        if self._recorder.diverged is not None:
            raise DivergedError(self._recorder.diverged, rows)
        return rows

    def _evaluation_row(self, lr: float, epoch_end: bool) -> Row:
        started = time.perf_counter()
        test_loss, test_accuracy = self.evaluate(self.data.test)
        row: Row = {
            "step": self.step,
            "epoch": self.epoch,
            "epoch_end": epoch_end,
            "lr": lr,  # of the last step; the scheduler may have stepped since
            "train/epoch_loss": self._epoch_mean("train/loss"),
            "train/epoch_accuracy": self._epoch_mean("train/accuracy"),
            "test/loss": test_loss,
            "test/accuracy": test_accuracy,
        }
        if self.data.holdout is not None:
            row["holdout/loss"], row["holdout/accuracy"] = self.evaluate(self.data.holdout)
        row["seconds/train"] = self._seconds
        row["seconds/eval"] = time.perf_counter() - started
        return row

    def _epoch_mean(self, key: str) -> float:
        """The mean over the images of the epoch so far. The last batch may be smaller, so each step counts by its images."""
        size, count, per_epoch = self.config.batch_size, len(self.data.train), self.steps_per_epoch
        smaller = count - size * (per_epoch - 1)
        weights = [smaller if row["step"] % per_epoch == 0 else size for row in self._epoch_rows]
        return sum(w * row[key] for w, row in zip(weights, self._epoch_rows, strict=True)) / sum(weights)
