"""The loop: train an epoch, evaluate, repeat. One loop for CPU, CUDA and MPS.

It knows tensors and figures only. It yields rows of figures as they become known; what is printed, plotted or saved is
up to whoever iterates over them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_lite.augment import Augment
from mnist_lite.data import Dataset, Split
from mnist_lite.recorder import Row, StepRecorder
from mnist_lite.rng import generator, seed_global
from mnist_lite.schedule import Schedule
from mnist_lite.schema import Config

EVAL_BATCH = 500


class Trainer:
    """A network, its optimiser and its data, and how far its training has come."""

    def __init__(
        self,
        config: Config,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        augment: Augment,
        data: Dataset,
        device: torch.device,
    ) -> None:
        """``module`` is on ``device`` already; ``data`` is there or, if it does not fit, on the CPU."""
        self.config, self.module, self.optimizer, self.schedule = config, module, optimizer, schedule
        self.augment, self.data, self.device = augment, data, device
        self.ema: AveragedModel | None = None
        if config.ema_decay is not None:
            average = get_ema_multi_avg_fn(config.ema_decay)
            self.ema = AveragedModel(module, multi_avg_fn=average, use_buffers=True)
        self.epoch = 0
        self.step = 0
        self._lr = 0.0
        self._recorder = StepRecorder(device)
        self._epoch_rows: list[Row] = []

    @property
    def evaluated(self) -> nn.Module:
        """The network that evaluation uses: the average of the weights if there is one."""
        return self.module if self.ema is None else self.ema.module

    def fit(self) -> Iterator[list[Row]]:
        """Trains to the last epoch, or to ``stop_at_accuracy``. Yields after every step the rows that are new.

        A training row has step, epoch, lr, train/loss, train/accuracy; they may come some steps late, but in order and
        before the evaluation row that follows them.
        """
        while self.epoch < self.config.epochs:
            self.epoch += 1
            self._epoch_rows = []
            order = self._order()
            started, evaluating = time.perf_counter(), 0.0
            for index, batch in enumerate(order, 1):
                self._train_step(batch)
                rows = self._keep(self._recorder.ready())
                if index < len(order) and self.config.eval_every and self.step % self.config.eval_every == 0:
                    rows += self._keep(self._recorder.drain())
                    row = self._evaluation_row(time.perf_counter() - started - evaluating, end=False)
                    evaluating += float(row["seconds/eval"])
                    rows.append(row)
                    if self._good_enough(row):
                        yield rows
                        return
                yield rows
            rows = self._keep(self._recorder.drain())
            row = self._evaluation_row(time.perf_counter() - started - evaluating, end=True)
            self.schedule.step(
                "epoch", {**row, "train/loss": row["train/epoch_loss"], "train/accuracy": row["train/epoch_accuracy"]}
            )
            yield [*rows, row]
            if self._good_enough(row):
                return

    def evaluate(self, split: Split) -> tuple[float, float]:
        """Mean cross-entropy and accuracy in percent over every image of ``split``, in evaluation mode."""
        network = self.evaluated
        network.eval()
        totals = torch.zeros(2, dtype=torch.float64 if self.device.type != "mps" else torch.float32, device=self.device)
        with torch.inference_mode():
            for images, labels in zip(split.images.split(EVAL_BATCH), split.labels.split(EVAL_BATCH), strict=True):
                inputs = self.data.normalise(self._pixels(images))
                logits, targets = self._forward(network, inputs), labels.to(self.device, non_blocking=True)
                totals[0] += F.cross_entropy(logits, targets, reduction="sum")
                totals[1] += (logits.argmax(1) == targets).sum()
        loss, correct = totals.tolist()
        return loss / len(split), 100 * correct / len(split)

    def state_dict(self) -> dict[str, Any]:
        """All that training goes on from: tensors and plain values only."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.scheduler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def _order(self) -> list[torch.Tensor]:
        """The epoch's batches of indices: a new order each epoch, every image once, the last batch as it comes."""
        shuffle = generator(torch.device("cpu"), self.config.seed, "order", self.epoch)
        order = torch.randperm(len(self.data.train), generator=shuffle)
        return list(order.to(self.data.train.images.device).split(self.config.batch_size))

    def _train_step(self, batch: torch.Tensor) -> None:
        config = self.config
        self.step += 1
        self.module.train()
        labels = self.data.train.labels[batch].to(self.device, non_blocking=True)
        draws = generator(self.device, config.seed, "augment", self.step)
        inputs = self.data.normalise(self.augment(self._pixels(self.data.train.images[batch]), draws))
        seed_global(config.seed, "dropout", self.step)
        logits = self._forward(self.module, inputs)
        loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        objective = loss
        if config.l1:
            objective = loss + config.l1 * torch.stack([p.abs().sum() for p in self.module.parameters()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        objective.backward()
        if config.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), config.clip_grad_norm)
        self._lr = float(self.optimizer.param_groups[0]["lr"])
        row: Row = {"step": self.step, "epoch": self.epoch, "lr": self._lr}
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update_parameters(self.module)
        self.schedule.step("step", {})
        self._recorder.add(row, len(batch), loss, (logits.detach().argmax(1) == labels).sum())

    def _pixels(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(self.device, non_blocking=True).float().div_(255)

    def _forward(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bf16"):
            logits: torch.Tensor = network(inputs)
        return logits.float()

    def _keep(self, rows: list[Row]) -> list[Row]:
        self._epoch_rows += rows
        return rows

    def _evaluation_row(self, train_seconds: float, end: bool) -> Row:
        started = time.perf_counter()
        test_loss, test_accuracy = self.evaluate(self.data.test)
        row: Row = {
            "step": self.step,
            "epoch": self.epoch,
            "epoch_end": end,
            "lr": self._lr,  # of the last step: the schedule may have moved on, OneCycle past its end
            "train/epoch_loss": self._epoch_mean("train/loss"),
            "train/epoch_accuracy": self._epoch_mean("train/accuracy"),
            "test/loss": test_loss,
            "test/accuracy": test_accuracy,
        }
        if self.data.holdout is not None:
            row["holdout/loss"], row["holdout/accuracy"] = self.evaluate(self.data.holdout)
        row["seconds/train"] = train_seconds
        row["seconds/eval"] = time.perf_counter() - started
        return row

    def _epoch_mean(self, key: str) -> float:
        """The mean over the epoch's images so far; the last batch may be smaller than the others."""
        size, count = self.config.batch_size, len(self.data.train)
        per_epoch = -(-count // size)
        weights = [size if i < per_epoch - 1 else count - size * (per_epoch - 1) for i in range(len(self._epoch_rows))]
        return sum(w * row[key] for w, row in zip(weights, self._epoch_rows, strict=True)) / sum(weights)

    def _good_enough(self, row: Row) -> bool:
        target = self.config.stop_at_accuracy
        return target is not None and row[f"{self.data.judge}/accuracy"] >= target
