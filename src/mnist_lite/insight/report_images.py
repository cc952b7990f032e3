"""The part of a report that needs weights and test images: confusion, calibration, mistakes with class maps.

All functions return plain values for JSON. Bytes are base64.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mnist_lite.data.dataset import Dataset
from mnist_lite.data.split import CLASSES, Split
from mnist_lite.insight.class_maps import ClassMaps
from mnist_lite.insight.evaluated_run import check_size
from mnist_lite.insight.evaluation import Evaluation, evaluate
from mnist_lite.insight.network_plots import class_maps_of
from mnist_lite.insight.predictions import predict
from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.model.budget import describe_test_set

MAX_MISTAKES = 1000
"""The largest number of mistakes on a page, over all networks. The mistakes with the highest loss are kept."""
OTHER_IMAGES = 500
"""Test images beside the mistakes, the same number of each class."""
MAX_MAPS = 200
"""Mistakes of a network that have class maps."""


@dataclass(frozen=True)
class RunAnswers:
    """A run and its answers for all test images of its data set."""

    run: SavedRun
    group: int
    """The index of its group in the page."""
    logits: torch.Tensor
    test: Evaluation


def answers_of(run: SavedRun, group: int, data: Dataset) -> RunAnswers:
    """Evaluates ``run`` on all test images of ``data``.

    Raises:
        UserError: the network is too large, or its logits are not finite.
    """
    check_size(run)
    logits = predict(run, data.test.images)
    return RunAnswers(run, group, logits, evaluate(logits, data.test.labels))


def chosen_images(tested: Sequence[RunAnswers], split: Split) -> list[int]:
    """The numbers of the test images of the page: the mistakes of all runs, worst first, then others of each class."""
    columns = [[mistake.index for mistake in each.test.mistakes] for each in tested]
    longest = max(map(len, columns), default=0)
    in_turn = [column[i] for i in range(longest) for column in columns if i < len(column)]
    mistakes = list(dict.fromkeys(in_turn))[:MAX_MISTAKES]
    chosen, others = set(mistakes), list[int]()
    for digit in range(CLASSES):
        of_class = (split.labels == digit).nonzero().flatten().tolist()
        others += [i for i in of_class if i not in chosen][: OTHER_IMAGES // CLASSES]
    return mistakes + sorted(others)


def image_record(chosen: Sequence[int], split: Split) -> dict[str, Any]:
    """The images, their labels and their numbers in the test split."""
    indices = torch.tensor(list(chosen), dtype=torch.int64)
    return {
        "count": len(chosen),
        "pixels": _base64(split.images[indices]),
        "labels": split.labels[indices].tolist(),
        "index": list(chosen),
    }


def tested_record(tested: RunAnswers, chosen: Sequence[int], data: Dataset) -> dict[str, Any]:
    """The figures of a run on all test images, and its answers for the ``chosen`` ones."""
    test, indices = tested.test, torch.tensor(list(chosen), dtype=torch.int64)
    probabilities = tested.logits[indices].double().softmax(1)
    confidence, predicted = probabilities.max(1)
    place = {index: i for i, index in enumerate(chosen)}
    shown = [mistake for mistake in test.mistakes if mistake.index in place]
    return {
        "group": tested.group,
        "seed": tested.run.summary.seed if tested.run.summary else None,
        "epoch": tested.run.epoch,
        "images": test.images,
        "measured_on": describe_test_set(data.name, test.images),
        "accuracy": test.accuracy,
        "interval": test.interval,
        "loss": test.loss,
        "classes": [asdict(each) for each in test.classes],
        "confusion": test.confusion,
        "bins": [asdict(each) for each in test.bins],
        "ece": test.ece,
        "predictions": predicted.tolist(),
        "confidence": [math.floor(1e4 * value) / 1e4 for value in confidence.tolist()],  # 1 is never nearly 1
        "mistakes": [
            {
                "image": place[mistake.index],
                "true": mistake.true,
                "predicted": mistake.predicted,
                "true_confidence": float(f"{mistake.true_confidence:.4g}"),
                "predicted_confidence": float(f"{mistake.predicted_confidence:.4g}"),
            }
            for mistake in shown
        ],
        "mistakes_in_all": len(test.mistakes),
        "maps": _maps(tested.run, data.test, [(each.index, each.true, each.predicted) for each in shown[:MAX_MAPS]]),
    }


def _maps(run: SavedRun, split: Split, mistakes: Sequence[tuple[int, int, int]]) -> dict[str, Any] | None:
    """The class maps of the true class and of the predicted class of each mistake. None: the network has no such maps."""
    if not mistakes:
        return None
    kinds = class_maps_of(run, split.images[[index for index, _, _ in mistakes]])
    if not kinds:
        return None
    name, found = kinds[-1]  # exact maps, or Grad-CAM if exact maps have too few cells
    pairs = torch.stack([found.maps[i, [true, predicted]] for i, (_, true, predicted) in enumerate(mistakes)])
    return {"kind": name, "exact": found.exact, **_scaled(pairs), **_place(found)}


def _scaled(pairs: torch.Tensor) -> dict[str, Any]:
    """``pairs`` ``(N, 2, H, W)`` as int8: the largest size of a value in a pair is 127."""
    largest = pairs.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    values = (127 * pairs / largest).round().to(torch.int8)
    return {"values": _base64(values), "height": pairs.shape[2], "width": pairs.shape[3]}


def _place(maps: ClassMaps) -> dict[str, Any]:
    """Where the maps lie in the image, in pixels: the first edge and the distance between cells."""
    return {"start": maps.extent[0], "cell": maps.jump}


def _base64(tensor: torch.Tensor) -> str:
    return b64encode(tensor.contiguous().numpy().tobytes()).decode()
