"""The results of a sweep: one row for each job, and one group for all jobs that differ in their seed only.

Input: the folder of a sweep. Nothing is written here: ``table.py`` makes texts and files of rows, ``plots.py`` makes pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from mnist_lite.config.schema import Budget
from mnist_lite.model.budget import after_training, describe_test_set
from mnist_lite.runner.identity import is_irrelevant
from mnist_lite.runner.summary import Summary, read_summary
from mnist_lite.sweeps.job_status import DONE, FAILED, failure, status
from mnist_lite.sweeps.manifest import ManifestEntry, read_manifest
from mnist_lite.sweeps.statistics import Comparison, Estimate, compare_with_best

MET, MISSED, NOT_JUDGED = "met", "missed", "not judged"
NO_BUDGET = {spec.name: None for spec in fields(Budget)} | {"last_epochs": 1, "accuracy_on": "mnist", "enforce": False}


@dataclass(frozen=True)
class JobRow:
    """One job. Accuracies are in percent. If the job is not done, the fields from ``data`` to ``budget`` are None."""

    overrides: dict[str, str]
    status: str
    data: str | None = None
    """The data set: ``mnist`` or ``digits``."""
    test_images: int | None = None
    holdout_images: int | None = None
    seed: int | None = None
    final: float | None = None
    """Test accuracy after the last epoch."""
    best: float | None = None
    """Test accuracy of the best evaluation. It is selected on the test images."""
    mean_last_5: float | None = None
    train_final: float | None = None
    holdout_final: float | None = None
    parameters: int | None = None
    seconds: float | None = None
    budget: str | None = None
    """``met``, ``missed`` or ``not judged``. None: the job has no budget."""
    enforced: bool = False
    """True if a budget that is not met counts as a failure."""
    error: str | None = None
    folder: str | None = None
    group: str | None = None
    """Equal for jobs that differ in their seed only. None: the config is invalid."""

    @property
    def settings(self) -> dict[str, str]:
        """The overrides that change the run, without the seed."""
        return {key: value for key, value in self.overrides.items() if key != "seed" and not is_irrelevant(key)}

    def accuracy_on(self, split: str) -> float | None:
        """The final accuracy on ``test`` or ``holdout``."""
        return self.holdout_final if split == "holdout" else self.final

    def images_of(self, split: str) -> int:
        """The number of images of ``test`` or ``holdout``. 0: the job is not done."""
        return (self.holdout_images if split == "holdout" else self.test_images) or 0


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed only."""

    overrides: dict[str, str]
    rows: list[JobRow]
    by_seed: dict[int, float]
    """The final accuracy of each finished job on ``selection_split``, by seed."""
    estimate: Estimate | None
    """The mean of these accuracies. None: no job is done."""
    is_best: bool = False
    """True for the group that the others are compared with."""
    comparison: Comparison | None = None
    """The comparison with the best group. None: this is the best group, or there is no comparison."""


def read_results(folder: Path) -> list[JobRow]:
    """The jobs of the sweep in ``folder``, in the order of the manifest.

    Raises:
        UserError: the manifest cannot be read.
    """
    return [_row(folder, entry) for entry in read_manifest(folder)]


def finished(rows: Sequence[JobRow]) -> list[JobRow]:
    """The jobs that are done."""
    return [row for row in rows if row.final is not None]


def selection_split(rows: Sequence[JobRow]) -> str:
    """The split that groups are compared on: ``holdout`` if all finished jobs have held-out images, else ``test``."""
    done = finished(rows)
    return "holdout" if done and all(row.holdout_final is not None for row in done) else "test"


def describe_images(rows: Sequence[JobRow], split: str) -> list[str]:
    """The images of ``split`` that the finished jobs were measured on. More than one text: the jobs differ."""
    images = dict.fromkeys((str(row.data), row.images_of(split)) for row in finished(rows))
    if split == "holdout":
        return [f"{count:,} held-out training images of {data}" for data, count in images]
    return [describe_test_set(data, count) for data, count in images]


def group_rows(rows: Sequence[JobRow]) -> list[Group]:
    """The groups of ``rows``, in the order of their first row.

    The groups are compared if all finished jobs were measured on the same images.
    """
    split = selection_split(rows)
    members: dict[object, list[JobRow]] = {}
    for row in rows:
        members.setdefault(row.group or frozenset(row.settings.items()), []).append(row)
    groups = [_group(group, split) for group in members.values()]
    if len(describe_images(rows, split)) == 1:
        resolution = 100 / finished(rows)[0].images_of(split)
        for i, comparison in compare_with_best([group.by_seed for group in groups], resolution).items():
            groups[i] = replace(groups[i], is_best=comparison is None, comparison=comparison)
    return groups


def varied_keys(overrides: Sequence[dict[str, str]]) -> list[str]:
    """The keys whose values are not the same in all ``overrides``."""
    values: dict[str, set[str]] = {}
    counts = Counter[str]()
    for each in overrides:
        counts.update(each.keys())
        for key, value in each.items():
            values.setdefault(key, set()).add(value)
    return [key for key in values if len(values[key]) > 1 or counts[key] < len(overrides)]


def has_failures(rows: Sequence[JobRow]) -> bool:
    """True if a job failed, or does not meet a budget that is enforced."""
    return any(row.status == FAILED or (row.enforced and row.budget in (MISSED, NOT_JUDGED)) for row in rows)


def finished_row(
    summary: Summary, budget: Mapping[str, Any], overrides: dict[str, str], folder: str, group: str | None
) -> JobRow:
    """The row of a finished run with this summary. ``budget`` has the keys of a ``Budget``.

    Raises:
        ValidationError: of msgspec: a value of ``budget`` has a wrong type.
    """
    accuracy = summary.accuracy
    required = msgspec.convert({**NO_BUDGET, **budget}, Budget)
    verdict = after_training(required, summary.reached)
    return JobRow(
        overrides,
        DONE,
        data=summary.data["name"],
        test_images=summary.data["test"],
        holdout_images=summary.data["holdout"],
        seed=summary.seed,
        final=accuracy.test.final,
        best=accuracy.test.best,
        mean_last_5=accuracy.test.mean_last_5,
        train_final=accuracy.train.final,
        holdout_final=accuracy.holdout.final if accuracy.holdout else None,
        parameters=summary.parameters,
        seconds=summary.seconds.train + summary.seconds.eval,
        budget={True: MET, False: MISSED, None: NOT_JUDGED}[verdict.met] if verdict.checks else None,
        enforced=bool(required.enforce),
        folder=folder,
        group=group,
    )


def _group(rows: list[JobRow], split: str) -> Group:
    accuracies = {row.seed: row.accuracy_on(split) for row in rows}
    by_seed = {seed: value for seed, value in accuracies.items() if seed is not None and value is not None}
    images = max(row.images_of(split) for row in rows)
    estimate = Estimate.of(list(by_seed.values()), 100 / images) if by_seed else None
    return Group(rows[0].settings, rows, by_seed, estimate)


def _row(folder: Path, entry: ManifestEntry) -> JobRow:
    overrides = dict(override.partition("=")[::2] for override in entry.overrides)
    if entry.folder is None:
        return JobRow(overrides, FAILED, error=entry.error)
    job = folder / entry.folder
    summary = read_summary(job)
    if summary is None:
        return JobRow(overrides, status(job), error=failure(job), folder=entry.folder, group=entry.group)
    return finished_row(summary, entry.budget or {}, overrides, entry.folder, entry.group)
