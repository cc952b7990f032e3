"""Evaluates a saved run: on all test images of its data set, and on the images that it was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.nn import functional

from mnist_lite.config.schema import DataConfig
from mnist_lite.data.dataset import Dataset, load
from mnist_lite.data.split import Split
from mnist_lite.errors import UserError
from mnist_lite.insight.activations import LayerActivity, predict_and_count
from mnist_lite.insight.evaluation import Evaluation, evaluate
from mnist_lite.insight.predictions import MAX_VALUES, data_root, predict
from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.reporting.layer_table import multiply_adds

MAX_MULTIPLY_ADDS = 2 * 10**9
"""The limit of multiply-adds for one image. A larger network would take hours. Our largest network has 0.16 * 10**9."""


@dataclass(frozen=True)
class EvaluatedRun:
    """A run and its figures. All were computed again, with the weights in its folder."""

    run: SavedRun
    data: Dataset
    """``train`` has the images that the run was trained on. ``test`` has all test images of its data set."""
    test: Evaluation
    activity: tuple[LayerActivity, ...]
    """The outputs of each activation function on the test images."""
    train_accuracy: float
    """In percent, without augmentation and dropout."""
    train_loss: float

    @property
    def gap(self) -> float:
        """Train accuracy minus test accuracy, in percentage points. A large gap means that the network overfits."""
        return self.train_accuracy - self.test.accuracy


def evaluate_run(run: SavedRun, root: str = "") -> EvaluatedRun:
    """Measures ``run``. ``root`` is the folder of MNIST: see ``predictions.load_data``.

    Raises:
        UserError: the data is not there, the run does not fit it, or the network cannot be evaluated.
    """
    check_size(run)
    data = load(
        DataConfig(
            name=run.data["name"],
            root=data_root(root),
            train_limit=run.data["train"],
            holdout=run.data["holdout"],
        )
    )
    logits, activity = predict_and_count(run, data.test.images)
    loss, accuracy = loss_and_accuracy(run, data.train)
    return EvaluatedRun(run, data, evaluate(logits, data.test.labels), activity, accuracy, loss)


def check_size(run: SavedRun) -> None:
    """Refuses a network that would take hours, or all memory.

    Raises:
        UserError: it has more than ``MAX_MULTIPLY_ADDS``, or a layer has more than ``MAX_VALUES`` outputs for one image.
    """
    count, outputs = multiply_adds(run.network), max(math.prod(layer.output) for layer in run.network.layers)
    for name, value, limit in (
        ("multiply-adds", count, MAX_MULTIPLY_ADDS),
        ("outputs of a layer", outputs, MAX_VALUES),
    ):
        if value > limit:
            raise UserError(
                f"the network is too large to evaluate: {value:,} {name} for an image, the limit is {limit:,}"
            )


def loss_and_accuracy(run: SavedRun, split: Split) -> tuple[float, float]:
    """The mean cross-entropy in nats, and the accuracy in percent."""
    logits = predict(run, split.images)
    loss = functional.cross_entropy(logits.double(), split.labels)
    return float(loss), 100 * float((logits.argmax(1) == split.labels).double().mean())
