"""``summary.json``: the result of a finished run. Builds it, writes it, reads it back, and makes the last lines on the terminal.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from mnist_lite import files
from mnist_lite.model.budget import RunResults, after_training, describe_test_set
from mnist_lite.runner import metrics
from mnist_lite.runner.metrics import Accuracy, Count, Seconds
from mnist_lite.runner.provenance import Provenance
from mnist_lite.runner.run_format import FORMAT

if TYPE_CHECKING:  # they import torch
    from mnist_lite.config.schema import Config
    from mnist_lite.data.dataset import Dataset
    from mnist_lite.model.build import Network
    from mnist_lite.training.step_metrics import Row

SUMMARY = "summary.json"
MAX_BYTES = 16 * files.MB


class DataRecord(TypedDict):
    """The images of a run. A resume compares them with the images that it finds."""

    name: str
    """``mnist`` or ``digits``."""
    train: Count
    """Number of training images."""
    test: Annotated[int, Meta(ge=1, le=10**9)]
    holdout: Count
    mean: float
    """Mean of the pixels of the training images, in 0..1."""
    std: float


class Summary(Provenance, frozen=True, kw_only=True):
    """The content of ``summary.json``. Code reads all formats, so a new field needs a default value."""

    format: int = 1
    """See ``run_format.py``."""
    name: str
    model: str | None
    """The chosen file of ``conf/model``."""
    experiment: str | None
    """The chosen file of ``conf/experiment``."""
    parameters: Count
    fully_connected: bool
    """Whether the network has a linear layer."""
    multiply_adds: Count
    """Of one image."""
    data: DataRecord
    seed: Count
    epochs: Count
    """Epochs that were trained."""
    steps: Count
    accuracy: Accuracy
    seconds: Seconds
    budget: dict[str, Any]
    """The result of the budget check: see ``model/budget.py``."""
    resumes: list[dict[str, Any]]
    """One entry for each resume: the step, and the conditions that were different."""

    @property
    def reached(self) -> RunResults:
        """The values that a budget is compared with."""
        return RunResults(
            self.parameters,
            self.fully_connected,
            self.epochs,
            self.accuracy.test.by_epoch,
            self.data["name"],
            self.data["test"],
        )


def describe_data(data: Dataset) -> DataRecord:
    """The ``DataRecord`` of ``data``."""
    return {
        "name": data.name,
        "train": len(data.train),
        "test": len(data.test),
        "holdout": 0 if data.holdout is None else len(data.holdout),
        "mean": data.mean,
        "std": data.std,
    }


def build_summary(
    config: Config,
    network: Network,
    data: Dataset,
    provenance: Provenance,
    rows: Sequence[Row],
    resumes: list[dict[str, Any]],
) -> Summary:
    """The summary of a run with the metrics ``rows``."""
    summary = Summary(
        **msgspec.structs.asdict(provenance),
        format=FORMAT,
        name=config.name,
        model=config.choices.get("model"),
        experiment=config.choices.get("experiment"),
        parameters=network.parameters,
        fully_connected=network.fully_connected,
        multiply_adds=sum(layer.multiply_adds for layer in network.layers),
        data=describe_data(data),
        seed=config.seed,
        epochs=int(rows[-1]["epoch"]),
        steps=int(rows[-1]["step"]),
        accuracy=metrics.accuracies(rows),
        seconds=metrics.seconds(rows),
        budget={},
        resumes=resumes,
    )
    verdict = after_training(config.budget, summary.reached)
    return msgspec.structs.replace(summary, budget=verdict.as_dict())


def as_json(summary: Summary) -> bytes:
    """The content of ``summary.json``."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def read_summary(folder: Path) -> Summary | None:
    """The summary of the run in ``folder``. None: the run is not finished, or the file is damaged."""
    try:
        return load_summary(folder)
    except OSError:
        return None


def load_summary(folder: Path) -> Summary:
    """The summary of the run in ``folder``.

    Raises:
        FileNotFoundError: the run is not finished.
        OSError: the file is damaged.
    """
    return files.decode(files.read(folder / SUMMARY, MAX_BYTES), Summary)


def headline(summary: Summary) -> str:
    """The title of the finished run's curves: its name, its size and its final accuracy."""
    images = describe_test_set(summary.data["name"], summary.data["test"])
    return (
        f"{summary.name}: {summary.parameters:,} parameters, "
        f"final test accuracy {summary.accuracy.test.final:.2f} % on {images}"
    )


def result_lines(summary: Summary) -> list[str]:
    """The last lines of a run on the terminal, without the budget."""
    test, selected = summary.accuracy.test, summary.accuracy.selected
    images = describe_test_set(summary.data["name"], summary.data["test"])
    mean = "" if test.mean_last_5 is None else f"mean of the last 5 epochs {test.mean_last_5:.2f} %; "
    lines = [
        f"\nfinal test accuracy {test.final:.2f} % on {images}, {summary.parameters:,} parameters",
        f"{mean}train minus test {summary.accuracy.train.final - test.final:+.2f}; "
        f"best epoch on test {test.best:.2f} % (epoch {test.best_epoch}, chosen on the test images)",
    ]
    if selected is not None:
        lines.append(f"test accuracy of epoch {selected.epoch}, the best on the held-out images: {selected.test:.2f} %")
    return lines
