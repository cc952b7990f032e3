"""The images that a network classifies wrong."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from mnist_lite.training.trainer import EVAL_BATCH, Trainer


class Mistake(NamedTuple):
    """An image with a wrong prediction."""

    image: torch.Tensor
    """``(1, 28, 28)`` uint8."""
    label: int
    prediction: int
    loss: float
    """The cross-entropy."""


def worst_mistakes(trainer: Trainer, count: int) -> list[Mistake]:
    """The mistakes on the test images with the highest losses, worst first: at most ``count``."""
    test = trainer.data.test
    training = trainer.eval_module.training
    with torch.inference_mode():
        logits = torch.cat(
            [
                trainer.eval_module.eval()(trainer.data.inputs(images, trainer.device)).float()
                for images in test.images.split(EVAL_BATCH)
            ]
        ).cpu()
    trainer.eval_module.train(training)
    labels, predictions = test.labels.cpu(), logits.argmax(1)
    losses = F.cross_entropy(logits, labels, reduction="none").where(predictions != labels, -1)
    order = losses.argsort(descending=True)[: min(count, int((losses >= 0).sum()))]
    return [Mistake(test.images[i], int(labels[i]), int(predictions[i]), float(losses[i])) for i in order.tolist()]
