"""The loop: train an epoch, evaluate, repeat. One loop for CPU, CUDA and MPS.

It knows tensors and figures only. It yields rows of figures as they become known; what is printed, plotted or saved is
up to whoever iterates over them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_lite.backends.nonfinite import step_if
from mnist_lite.backends.torch_backend import Backend
from mnist_lite.config.schema import Config
from mnist_lite.data.augment.pipeline import Augment
from mnist_lite.data.dataset import Dataset, Split
from mnist_lite.errors import UserError
from mnist_lite.rng import derive, generator
from mnist_lite.training.optimizer import add_l1
from mnist_lite.training.schedule import Schedule
from mnist_lite.training.step_metrics import Row, StepRecorder

EVAL_BATCH = 500


class DivergedError(Exception):
    """A loss or a gradient of a training step was not finite; the update of that step has not been made."""

    def __init__(self, row: Row, rows: list[Row]) -> None:
        """``row`` is that of the step, ``rows`` are those before it that have not been yielded yet."""
        what = "a gradient" if math.isfinite(row["train/loss"]) else f"the loss ({row['train/loss']})"
        super().__init__(f"{what} is not finite at step {row['step']} (epoch {row['epoch']}, lr {row['lr']:.3g})")
        self.rows = rows


class Trainer:
    """A network, its optimiser and its data, and how far its training has come."""

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
        """``module`` is on ``device`` already; ``data`` is there or, if it does not fit, on the CPU."""
        self.config, self.module, self.backend = config, module, backend
        self.optimizer, self.schedule = optimizer, schedule
        self.augment, self.data, self.device = augment, data, device
        self.ema: AveragedModel | None = None
        if config.ema_decay is not None:
            average = get_ema_multi_avg_fn(config.ema_decay)
            self.ema = AveragedModel(module, multi_avg_fn=average, use_buffers=True)
        self.epoch = 0
        self.step = 0
        self._good_enough = False
        self._finite = torch.tensor(True, device=device)
        self._seconds = 0.0
        self._recorder = StepRecorder(device)
        self._epoch_rows: list[Row] = []

    @property
    def evaluated(self) -> nn.Module:
        """The network that evaluation uses: the average of the weights if there is one."""
        return self.module if self.ema is None else self.ema.module

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; the last may be smaller."""
        return math.ceil(len(self.data.train) / self.config.batch_size)

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return self._good_enough or self.step >= self.config.epochs * self.steps_per_epoch

    def fit(self) -> Iterator[list[Row]]:
        """Trains to the last epoch, or to ``stop_at_accuracy``. Yields after every step the rows that are new.

        A training row has step, epoch, lr, train/loss, train/accuracy; they may come some steps late, but in order and
        before the evaluation row that follows them. The evaluation of an epoch comes with its last step, so that between
        two yields there are only whole steps with all that belongs to them.

        Raises:
            DivergedError: a loss or gradient was not finite.
        """
        while not self.done:
            if self.step % self.steps_per_epoch == 0:
                self.epoch += 1
                self._epoch_rows, self._seconds = [], 0.0
            for batch in self._order()[self.step % self.steps_per_epoch :]:
                yield self._advance(batch)
                if self.done:
                    return

    def drain(self) -> list[Row]:
        """The rows that have not been yielded yet; waits for the device. To be called before ``state_dict``.

        Raises:
            DivergedError: a loss or gradient was not finite.
        """
        return self._keep(self._recorder.drain())

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Mean cross-entropy and accuracy in percent over every image of ``split``, in evaluation mode."""
        totals = []
        for images, labels in zip(split.images.split(EVAL_BATCH), split.labels.split(EVAL_BATCH), strict=True):
            inputs = self.data.normalise(self._pixels(images))
            totals.append(self.backend.evaluate(self.evaluated, inputs, labels.to(self.device, non_blocking=True)))
        loss, correct = torch.stack(totals).sum(0).tolist()
        return loss / len(split), 100 * correct / len(split)

    def state_dict(self) -> dict[str, Any]:
        """All that training goes on from: tensors and plain values only."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "good_enough": self._good_enough,
            "seconds": self._seconds,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.scheduler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], rows: list[Row]) -> None:
        """Goes back to where ``state_dict`` was taken. ``rows`` are all that had been yielded until then.

        Raises:
            UserError: the state is not that of such a training.
        """
        try:
            scheduler = self.schedule.scheduler.state_dict()
            if set(state["scheduler"]) != set(scheduler):
                raise ValueError("the scheduler is another one")  # its load_state_dict would take anything
            self.module.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.scheduler.load_state_dict(state["scheduler"])
            if self.ema is not None:
                self.ema.load_state_dict(state["ema"])
            self.step, self._seconds = int(state["step"]), float(state["seconds"])
            self.epoch, self._good_enough = int(state["epoch"]), bool(state["good_enough"])
            if self.step < 0 or self.epoch != math.ceil(self.step / self.steps_per_epoch):
                raise ValueError(f"step {self.step} is not in epoch {self.epoch}")
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise UserError(f"resume: the checkpoint does not fit the run: {str(error).splitlines()[0]}") from error
        self._epoch_rows = [row for row in rows if row["epoch"] == self.epoch and "train/loss" in row]

    def _order(self) -> list[torch.Tensor]:
        """The epoch's batches of indices: a new order each epoch, every image once, the last batch as it comes."""
        shuffle = generator(torch.device("cpu"), self.config.seed, "order", self.epoch)
        order = torch.randperm(len(self.data.train), generator=shuffle)
        return list(order.to(self.data.train.images.device).split(self.config.batch_size))

    def _advance(self, batch: torch.Tensor) -> list[Row]:
        """A training step, and the evaluation if it is time; the rows that are new."""
        started = time.perf_counter()
        lr = self._train_step(batch)
        end = self.step % self.steps_per_epoch == 0
        if not end and not (self.config.eval_every and self.step % self.config.eval_every == 0):
            rows = self._keep(self._recorder.ready())
            self._seconds += time.perf_counter() - started
            return rows
        rows = self.drain()
        self._seconds += time.perf_counter() - started
        row = self._evaluation_row(lr, end)
        if end:
            self.schedule.step("epoch", row)
        target = self.config.stop_at_accuracy
        self._good_enough = target is not None and row[f"{self.data.selection_split}/accuracy"] >= target
        return [*rows, row]

    def _train_step(self, batch: torch.Tensor) -> float:
        """One update; its learning rate."""
        config = self.config
        self.step += 1
        labels = self.data.train.labels[batch].to(self.device, non_blocking=True)
        draws = generator(self.device, config.seed, "augment", self.step)
        inputs = self.data.normalise(self.augment(self._pixels(self.data.train.images[batch]), draws))
        figures = self.backend.gradients(inputs, labels, derive(config.seed, "dropout", self.step))
        if config.l1:
            add_l1(self.module, config.l1)
        self._finite = self._finite & figures.finite
        if config.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), config.clip_grad_norm)
        row: Row = {"step": self.step, "epoch": self.epoch, "lr": float(self.optimizer.param_groups[0]["lr"])}
        step_if(self._finite, self.optimizer)
        if self.ema is not None:
            self.ema.update_parameters(self.module)
        self.schedule.step("step", {})
        self._recorder.add(row, len(batch), figures.loss, figures.correct, self._finite)
        return row["lr"]

    def _pixels(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(self.device, non_blocking=True).float().div_(255)

    def _keep(self, rows: list[Row]) -> list[Row]:
        self._epoch_rows += rows
        if self._recorder.diverged is not None:
            raise DivergedError(self._recorder.diverged, rows)
        return rows

    def _evaluation_row(self, lr: float, end: bool) -> Row:
        started = time.perf_counter()
        test_loss, test_accuracy = self.evaluate(self.data.test)
        row: Row = {
            "step": self.step,
            "epoch": self.epoch,
            "epoch_end": end,
            "lr": lr,  # of the last step: the schedule may have moved on, OneCycle past its end
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
        """The mean over the epoch's images so far. The last batch may be smaller than the others."""
        size, count, per_epoch = self.config.batch_size, len(self.data.train), self.steps_per_epoch
        smaller = count - size * (per_epoch - 1)
        weights = [smaller if row["step"] % per_epoch == 0 else size for row in self._epoch_rows]
        return sum(w * row[key] for w, row in zip(weights, self._epoch_rows, strict=True)) / sum(weights)
