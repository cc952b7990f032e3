"""How good a network is on labelled images: accuracy, loss, figures of each class, calibration, mistakes.

Pure functions of logits and labels. The metrics come from scikit-learn, the interval from SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from mnist_lite.data.split import CLASSES
from mnist_lite.errors import UserError

BINS = 15
"""Bins of the reliability diagram, as in Guo et al. (2017)."""


@dataclass(frozen=True)
class ClassMetrics:
    """How well a network recognises one class. Percentages; 0 where there is nothing to divide by."""

    digit: int
    images: int
    """Images of this class."""
    precision: float
    """Of the images that the network takes for this class: the share that is of this class."""
    recall: float
    """Of the images of this class: the share that the network recognises."""
    f1: float
    """The harmonic mean of precision and recall."""


@dataclass(frozen=True)
class ConfidenceBin:
    """The images whose confidence (the probability of the predicted class) is in ``(low, high]``. Values are in 0..1."""

    low: float
    high: float
    images: int
    confidence: float | None
    """The mean. None: there is no image."""
    accuracy: float | None
    interval: tuple[float, float] | None
    """The 95 % interval of the accuracy (Wilson)."""


@dataclass(frozen=True)
class Mistake:
    """An image that the network takes for another class. Confidences are probabilities in 0..1."""

    index: int
    """The number of the image in its split, from 0."""
    true: int
    predicted: int
    true_confidence: float
    predicted_confidence: float
    loss: float
    """The cross-entropy, in nats: minus the logarithm of ``true_confidence``."""


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one class that the network takes for one other class."""

    true: int
    predicted: int
    images: int


@dataclass(frozen=True)
class Evaluation:
    """The figures of a network on ``images`` labelled images."""

    images: int
    accuracy: float
    """In percent."""
    interval: tuple[float, float]
    """The 95 % interval of the accuracy (Wilson), in percent. It is about other images, not about other seeds."""
    loss: float
    """The mean cross-entropy, in nats."""
    classes: tuple[ClassMetrics, ...]
    """One for each class."""
    confusion: tuple[tuple[int, ...], ...]
    """``confusion[t][p]``: the number of images of class t that the network takes for class p."""
    bins: tuple[ConfidenceBin, ...]
    ece: float
    """The expected calibration error, in percent: the mean over all images of ``|accuracy - confidence|`` of their bin.

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3.
    """
    mistakes: tuple[Mistake, ...]
    """All of them. The one with the highest loss comes first."""

    @property
    def confused_pairs(self) -> list[ConfusedPair]:
        """The pairs of classes with at least one mistake. The most frequent comes first."""
        pairs = [
            ConfusedPair(true, predicted, count)
            for true, row in enumerate(self.confusion)
            for predicted, count in enumerate(row)
            if true != predicted and count
        ]
        return sorted(pairs, key=lambda pair: -pair.images)


def evaluate(logits: torch.Tensor, labels: torch.Tensor) -> Evaluation:
    """The figures for ``logits`` ``(N, 10)`` and ``labels`` ``(N,)`` int64 in 0..9, with N >= 1.

    Raises:
        UserError: a logit is not a finite number.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    if not bool(logits.isfinite().all()):
        raise UserError("the network gives values that are not finite numbers, so it cannot be evaluated")
    probabilities = logits.double().softmax(1)
    losses = F.cross_entropy(logits.double(), labels, reduction="none")
    confidence, predicted = probabilities.max(1)
    correct = predicted == labels
    digits = list(range(CLASSES))
    columns = precision_recall_fscore_support(labels.numpy(), predicted.numpy(), labels=digits, zero_division=0.0)
    confusion = confusion_matrix(labels.numpy(), predicted.numpy(), labels=digits)
    bins = _confidence_bins(confidence.numpy(), correct.numpy())
    wrong = (~correct).nonzero().flatten()
    worst_first = wrong[losses[wrong].argsort(descending=True, stable=True)]
    return Evaluation(
        images=len(labels),
        accuracy=100 * float(correct.double().mean()),
        interval=_percent(wilson(int(correct.sum()), len(labels))),
        loss=float(losses.mean()),
        classes=tuple(
            ClassMetrics(digit, int(images), 100 * float(precision), 100 * float(recall), 100 * float(f1))
            for digit, (precision, recall, f1, images) in enumerate(zip(*columns, strict=True))
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        bins=bins,
        ece=100 * _calibration_error(bins),
        mistakes=tuple(
            Mistake(
                i,
                int(labels[i]),
                int(predicted[i]),
                float(probabilities[i, labels[i]]),
                float(confidence[i]),
                float(losses[i]),
            )
            for i in worst_first.tolist()
        ),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share, in 0..1. ``trials`` is at least 1.

    Source: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _percent(interval: tuple[float, float]) -> tuple[float, float]:
    return 100 * interval[0], 100 * interval[1]


def _confidence_bins(confidence: np.ndarray, correct: np.ndarray) -> tuple[ConfidenceBin, ...]:
    """``BINS`` bins of equal width. ``confidence`` ``(N,)`` in 0..1, ``correct`` ``(N,)`` bool."""
    edges = np.linspace(0, 1, BINS + 1)
    bin_of = np.digitize(confidence, edges[1:-1], right=True)
    bins = []
    for i in range(BINS):
        inside, low, high = bin_of == i, float(edges[i]), float(edges[i + 1])
        n = int(inside.sum())
        if n == 0:
            bins.append(ConfidenceBin(low, high, 0, None, None, None))
            continue
        right = correct[inside]
        bins.append(
            ConfidenceBin(
                low, high, n, float(confidence[inside].mean()), float(right.mean()), wilson(int(right.sum()), n)
            )
        )
    return tuple(bins)


def _calibration_error(bins: Sequence[ConfidenceBin]) -> float:
    total = sum(b.images for b in bins)
    return sum(
        b.images / total * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    )
