"""Compares runs of any origin: groups of runs that differ in their seed only, their figures, and where their configs differ.

Input: run folders. Texts and files are made in ``comparison_text.py``, pictures in ``comparison_plots.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from mnist_lite.errors import UserError
from mnist_lite.insight.changes import leaves
from mnist_lite.runner.config_file import read_config
from mnist_lite.runner.identity import normalized_config
from mnist_lite.runner.summary import Summary, load_summary
from mnist_lite.sweeps.results import Group, JobRow, describe_images, finished_row, group_rows, selection_split
from mnist_lite.sweeps.statistics import Estimate

NOT_COMPARED = (
    *(
        "format",
        "name",
        "seed",
        "runs_dir",
        "resume",
        "checkpoint",
        "sweep",
        "data.root",
        "choices.sweep",
        "tensorboard",
    ),
    "model.budget",
)
"""Keys of a config that say where and how a run was stored, and a default that ``budget`` has taken."""
MAX_NAME_LENGTH = 60


@dataclass(frozen=True)
class FinishedRun:
    """A run and what its folder says about it."""

    path: Path
    config: Mapping[str, Any]
    summary: Summary


@dataclass(frozen=True)
class ComparedGroup:
    """Runs that differ in their seed only."""

    letter: str
    """``A`` for the first group, ``B`` for the second, and so on. After ``Z`` comes ``AA``."""
    name: str
    """The name of the experiment, of the model or of the run. If groups share a name, it has values that differ."""
    runs: list[FinishedRun]
    """One run for each seed."""
    results: Group
    """The figures of the runs, and the paired test against the best group."""

    def mean(self, figure: Callable[[Summary], float | None]) -> float | None:
        """The mean of ``figure`` over the runs. None: a run does not have it."""
        values = [figure(run.summary) for run in self.runs]
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None

    @property
    def summary(self) -> Summary:
        """The summary of the first run. Parameters and multiply-adds are the same in all."""
        return self.runs[0].summary

    @property
    def final(self) -> Estimate:
        """The test accuracy after the last epoch."""
        values = [run.summary.accuracy.test.final for run in self.runs]
        return Estimate.of(values, 100 / self.summary.data["test"])

    @property
    def gap(self) -> float | None:
        """Train accuracy minus test accuracy after the last epoch, in percentage points."""
        return self.mean(lambda summary: summary.accuracy.train.final - summary.accuracy.test.final)

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs, in order."""
        return sorted(run.summary.seed for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Groups of runs side by side."""

    groups: list[ComparedGroup]
    """In the order in which the user named their runs."""
    differences: list[tuple[str, list[str]]]
    """Each key of the configs whose value is not the same in all groups, with the value in each group."""
    split: str
    """The split that the paired test uses: ``holdout`` if all runs have held-out images, else ``test``."""
    measured_on: list[str]
    """The images of this split in words. With more than one text, groups are not tested against each other."""
    left_out: list[str]
    """A line for each run that is not compared."""


def compare_runs(paths: Sequence[Path], command: str = "compare") -> Comparison:
    """Compares the finished runs in the folders ``paths``. ``command`` is the name of the command in an error.

    Raises:
        UserError: a config is damaged, or no run can be used.
    """
    runs: dict[tuple[str, int], FinishedRun] = {}
    left_out: list[str] = []
    for path in paths:
        try:
            summary = load_summary(path)
        except FileNotFoundError:
            left_out.append(f"{path} is left out: it is not finished")
            continue
        except OSError as error:
            left_out.append(f"{path} is left out: summary.json cannot be read ({error.strerror})")
            continue
        run = FinishedRun(path, read_config(path), summary)
        first = runs.setdefault((_group_key(run), summary.seed), run)
        if first is not run:
            left_out.append(f"{path} is left out: it repeats seed {summary.seed} of {first.path}")
    if not runs:
        more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        raise UserError(f"{command}: no run can be used: {'; '.join(left_out[:3])}{more}")
    rows = [_row(run, key) for (key, _), run in runs.items()]
    by_folder = {str(run.path): run for run in runs.values()}
    results = group_rows(rows)
    members = [[by_folder[str(row.folder)] for row in group.rows] for group in results]
    differences = _differences(members)
    names = _names(members, differences)
    groups = [ComparedGroup(_letter(i), *part) for i, part in enumerate(zip(names, members, results, strict=True))]
    split = selection_split(rows)
    return Comparison(groups, differences, split, describe_images(rows, split), left_out)


def on_same_images(comparison: Comparison) -> Comparison:
    """The groups that were measured on the same test images: those of most groups, or of the first one if that is not decided."""
    images = [(group.summary.data["name"], group.summary.data["test"]) for group in comparison.groups]
    places = [i for i, each in enumerate(images) if each == max(images, key=images.count)]
    if len(places) == len(images):
        return comparison
    members = [comparison.groups[i] for i in places]
    rows = [row for group in members for row in group.results.rows]
    groups = [replace(group, results=result) for group, result in zip(members, group_rows(rows), strict=True)]
    differences = [(key, [cells[i] for i in places]) for key, cells in comparison.differences]
    split = selection_split(rows)
    return Comparison(groups, differences, split, describe_images(rows, split), comparison.left_out)


def pareto_front(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The points that no other point beats, from the fewest parameters up. A point is (parameters, accuracy).

    A point beats another one if it has at most its parameters and at least its accuracy, and one of the two is better.
    """
    front: list[tuple[int, float]] = []
    for parameters, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((parameters, accuracy))
    return front


def _group_key(run: FinishedRun) -> str:
    """Equal for runs that differ in their seed only."""
    config = {key: value for key, value in run.config.items() if key != "format"}
    try:
        config |= {"seed": 0, "data": {**config["data"], "name": run.summary.data["name"]}}
        return json.dumps([normalized_config(config), run.summary.data], sort_keys=True, default=str)
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # the folder is from a stranger
        raise UserError(f"{run.path}: config.yaml is not the config of a run: {error!r}") from error


def _row(run: FinishedRun, key: str) -> JobRow:
    try:
        return finished_row(run.summary, run.config.get("budget") or {}, {}, str(run.path), key)
    except (msgspec.ValidationError, TypeError) as error:
        raise UserError(f"{run.path}: config.yaml has no good budget: {error}") from error


def _differences(groups: Sequence[Sequence[FinishedRun]]) -> list[tuple[str, list[str]]]:
    values = [[_compared_values(run) for run in runs] for runs in groups]
    keys = dict.fromkeys(key for runs in values for run in runs for key in run)
    one_model = len({run.get("choices.model") for runs in values for run in runs}) == 1
    found = []
    for key in sorted(keys, key=lambda key: not key.startswith("choices.")):
        if key.startswith("model.") and key != "model.layers" and not one_model:
            continue  # the settings of a model act through its layers
        columns = [[run.get(key) for run in runs] for runs in values]
        lists = [value for column in columns for value in column if isinstance(value, list)]
        start = _equal_items(lists)
        end = _equal_items([value[start:][::-1] for value in lists])
        cells = ["; ".join(sorted({_cell(value, start, end) for value in column})) for column in columns]
        if len(set(cells)) > 1:
            found.append((key.removeprefix("choices."), cells))
    return found


def _equal_items(lists: Sequence[list[str]]) -> int:
    """The number of items at the start that are the same in all ``lists``. 0 if the lists do not differ."""
    if all(each == lists[0] for each in lists):
        return 0
    return sum(1 for _ in takewhile(lambda items: len(set(items)) == 1, zip(*lists, strict=False)))


def _compared_values(run: FinishedRun) -> dict[str, str | list[str]]:
    """The values of the config as texts. A list is a list of texts."""
    return {
        key: [_text(item) for item in value] if isinstance(value, list) else _text(value)
        for key, value in leaves(run.config)
        if not any(key == hidden or key.startswith(f"{hidden}.") for hidden in NOT_COMPARED)
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str).replace('"', "")


def _cell(value: str | list[str] | None, start: int, end: int) -> str:
    """``value`` in one line. The first ``start`` and the last ``end`` items of a list are the same in all runs."""
    if not isinstance(value, list):
        return "" if value is None else value
    items = value[start : len(value) - end]
    return ", ".join([*(["..."] if start else []), *items, *(["..."] if end else [])])


def _names(groups: Sequence[Sequence[FinishedRun]], differences: Sequence[tuple[str, list[str]]]) -> list[str]:
    names = [_name(runs[0]) for runs in groups]
    result = []
    for i, name in enumerate(names):
        same = [j for j, other in enumerate(names) if other == name]
        parts = [name]
        for key, cells in differences:
            if len({cells[j] for j in same}) > 1 and len(cells[i]) < 20 and len(parts) < 3:
                parts.append(f"{key.rpartition('.')[2]} {cells[i]}")
        text = ", ".join(parts)
        result.append(text if len(text) <= MAX_NAME_LENGTH else f"{text[:MAX_NAME_LENGTH]}...")
    return result


def _name(run: FinishedRun) -> str:
    """The name that the user gave the run, else its experiment or its model."""
    choice = run.summary.experiment or run.summary.model or "run"
    own = run.summary.name
    return choice if "=" in own or own == choice or not own else own


def _letter(index: int) -> str:
    letter = chr(ord("A") + index % 26)
    return letter if index < 26 else _letter(index // 26 - 1) + letter
