"""The figures of an evaluation, against scikit-learn, against formulas, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics

from mnist_lite.errors import UserError
from mnist_lite.insight.evaluation import BINS, evaluate, wilson


def random_answers(seed: int, images: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels. About half of the answers are right. Class 7 has no image, and class 3 is never predicted."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 7, (images,), generator=generator)
    logits = 2 * torch.randn(images, 10, generator=generator)
    logits[torch.arange(images), labels] += 3
    logits[:, 3] = -10
    return logits, labels


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_are_those_of_scikit_learn(seed: int):
    logits, labels = random_answers(seed)
    found = evaluate(logits, labels)
    true, predicted = labels.numpy(), logits.argmax(1).numpy()
    assert found.accuracy == pytest.approx(100 * metrics.accuracy_score(true, predicted))
    assert found.loss == pytest.approx(metrics.log_loss(true, logits.double().softmax(1).numpy(), labels=range(10)))
    for digit, of_class in enumerate(found.classes):
        is_true, is_predicted = true == digit, predicted == digit
        assert (of_class.digit, of_class.images) == (digit, is_true.sum())
        for name in ("precision", "recall", "f1"):
            score = getattr(metrics, f"{name}_score")(is_true, is_predicted, zero_division=0)
            assert getattr(of_class, name) == pytest.approx(100 * score), (digit, name)
    for t in range(10):
        for p in range(10):
            assert found.confusion[t][p] == ((true == t) & (predicted == p)).sum()


def test_the_calibration_error_is_that_of_its_definition():
    logits, labels = random_answers(0)
    probabilities = logits.double().softmax(1).numpy()
    error, counts = 0.0, []
    for b in range(BINS):
        members = [i for i in range(len(labels)) if b / BINS < probabilities[i].max() <= (b + 1) / BINS]
        counts.append(len(members))
        if members:
            accuracy = np.mean([probabilities[i].argmax() == int(labels[i]) for i in members])
            confidence = np.mean([probabilities[i].max() for i in members])
            error += len(members) / len(labels) * abs(accuracy - confidence)
    found = evaluate(logits, labels)
    assert found.ece == pytest.approx(100 * error)
    assert [b.images for b in found.bins] == counts


def test_four_images_by_hand():
    """Confidences 0.9 (right), 0.7 (right), 0.7 (wrong), 0.6 (wrong)."""
    others = 8  # classes that share the rest
    probabilities = torch.full((4, 10), 1e-12, dtype=torch.float64)
    probabilities[0, 0], probabilities[0, 1] = 0.9, 0.1
    probabilities[1, 1], probabilities[1, 2] = 0.7, 0.3
    probabilities[2, 1], probabilities[2, 2] = 0.7, 0.3
    probabilities[3, 1] = 0.6
    probabilities[3, 2:] = 0.4 / others
    found = evaluate(probabilities.log(), torch.tensor([0, 1, 2, 2]))
    assert found.accuracy == 50
    assert found.loss == pytest.approx(-(math.log(0.9) + math.log(0.7) + math.log(0.3) + math.log(0.05)) / 4)
    # three bins: {0.9}, {0.7, 0.7} and {0.6}, which is the upper edge of its bin
    assert found.ece == pytest.approx(100 * (0.1 / 4 + 2 * 0.2 / 4 + 0.6 / 4))
    assert [(m.index, m.true, m.predicted) for m in found.mistakes] == [(3, 2, 1), (2, 2, 1)]
    assert found.mistakes[1].true_confidence == pytest.approx(0.3)
    assert found.mistakes[1].predicted_confidence == pytest.approx(0.7)
    assert found.mistakes[1].loss == pytest.approx(-math.log(0.3))
    assert [(pair.true, pair.predicted, pair.images) for pair in found.confused_pairs] == [(2, 1, 2)]


@pytest.mark.parametrize(("right", "images"), [(9870, 10_000), (0, 20), (20, 20), (1, 3)])
def test_the_interval_is_wilsons_formula(right: int, images: int):
    z, share = 1.959963984540054, right / images
    centre = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    assert wilson(right, images) == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_a_network_without_mistakes_and_one_with_infinite_logits():
    labels = torch.arange(10)
    found = evaluate(50 * torch.eye(10), labels)
    assert (found.accuracy, found.mistakes, found.confused_pairs) == (100, (), [])
    assert found.ece == pytest.approx(0, abs=1e-9)
    with pytest.raises(UserError, match="not finite"):
        evaluate(torch.full((10, 10), math.inf), labels)
