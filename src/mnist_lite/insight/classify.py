"""Classifies pictures of a user with trained networks, as text or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from mnist_lite.errors import UserError
from mnist_lite.insight.as_mnist import as_mnist
from mnist_lite.insight.image_file import STANDARD_INPUT, read_picture
from mnist_lite.insight.predictions import predict
from mnist_lite.insight.saved_run import SavedRun, load_run
from mnist_lite.insight.zoo import name_of
from mnist_lite.reporting.block_image import as_blocks


@dataclass(frozen=True)
class Prediction:
    """The answer of a network for a picture."""

    run: str
    """The folder of the run, or ``zoo:<name>``."""
    file: str
    prediction: int
    """The class with the highest probability."""
    probabilities: list[float]
    """Of the classes 0 to 9: the softmax of the logits. A network can be sure and wrong."""
    image: list[list[int]]
    """What the network was given: 28 rows of 28 values 0..255. Ink is 255."""


def classify(folders: Sequence[Path], files: Sequence[str], kind: str) -> int:
    """Prints the predictions of the runs in ``folders`` for ``files``, as ``text`` or ``json``.

    Returns:
        The exit code: 2 if one of several pictures cannot be used. The others have their answers.

    Raises:
        UserError: a run cannot be used, or no picture can be used.
    """
    if files.count(STANDARD_INPUT) > 1:
        raise UserError("-: standard input has one picture only")
    prepared, errors = [], []
    for file in files:
        try:
            prepared.append((file, prepare([file])))
        except UserError as error:
            errors.append(str(error))
    if not prepared:
        raise UserError("; ".join(errors))
    files, images = [file for file, _ in prepared], torch.cat([image for _, image in prepared])
    runs = [load_run(folder) for folder in folders]
    predictions = [prediction for run in runs for prediction in predict_files(run, files, images)]
    if kind == "json":
        print(json.dumps([asdict(prediction) for prediction in predictions]))
    else:
        for i in range(len(files)):
            print("\n".join(_lines(predictions[i :: len(files)])))  # the answers of all runs for one picture
    for run in runs:
        if run.data["name"] != "mnist":
            print(
                f"warning: {name_of(run.path)} was trained on the data set {run.data['name']}, not on MNIST",
                file=sys.stderr,
            )
    for text in errors:
        print(f"error: {text}", file=sys.stderr)
    return 2 if errors else 0


def prepare(files: Sequence[str]) -> torch.Tensor:
    """The digits in the pictures ``files`` as MNIST has them: ``(N, 1, 28, 28)`` uint8. Ink is 255, paper is 0.

    Raises:
        UserError: a picture cannot be read, or nothing is drawn on it.
    """
    images = []
    for file in files:
        picture = read_picture(file)
        try:
            images.append(torch.from_numpy(as_mnist(picture)))
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
    return torch.stack(images).unsqueeze(1)


def predict_files(run: SavedRun, files: Sequence[str], images: torch.Tensor) -> list[Prediction]:
    """The predictions of ``run`` for ``images``, which are the prepared ``files``."""
    probabilities = predict(run, images).softmax(1)
    return [
        Prediction(name_of(run.path), file, int(values.argmax()), values.tolist(), image[0].tolist())
        for file, values, image in zip(files, probabilities, images, strict=True)
    ]


def _lines(predictions: Sequence[Prediction]) -> list[str]:
    """The answers of all runs for one picture, and the image that they were given."""
    lines = []
    several = len(predictions) > 1
    for prediction in predictions:
        second = sorted(range(10), key=lambda digit: -prediction.probabilities[digit])[1]
        first = prediction.probabilities[prediction.prediction]
        by = f" by {prediction.run}" if several else ""
        lines.append(
            f"{prediction.file}: {prediction.prediction}{by} ({100 * first:.1f} %; next is {second} with "
            f"{100 * prediction.probabilities[second]:.1f} %)"
        )
    return [*lines, *(f"  |{line:<28}|" for line in as_blocks(predictions[0].image))]
