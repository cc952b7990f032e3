"""The results of a sweep: a row for each job, a mean for each group of jobs that differ in their seed alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mnist_lite import files
from mnist_lite.model.budget import after_training, describe_test_set
from mnist_lite.reporting import text_layout
from mnist_lite.runner.identity import is_irrelevant
from mnist_lite.runner.summary import read_summary
from mnist_lite.sweeps.job import DONE, FAILED, failure, status
from mnist_lite.sweeps.manifest import ManifestEntry, read_manifest
from mnist_lite.sweeps.statistics import MIN_RUNS, Comparison, Estimate, best_group, compare_with_best

CSV, JSON = "sweep.csv", "sweep.json"


MET, MISSED, NOT_JUDGED = "met", "missed", "not judged"


@dataclass(frozen=True)
class Row:
    """One job. Accuracies are in percent. Figures of a job that is not done are None."""

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
    """Test accuracy of the best evaluation on test. It is chosen on the test images."""
    mean_last_5: float | None = None
    train_final: float | None = None
    holdout_final: float | None = None
    parameters: int | None = None
    seconds: float | None = None
    budget: str | None = None
    """``met``, ``missed`` or ``not judged``. None: there is no budget, or the job is not done."""
    enforced: bool = False
    """Whether a budget that is not met counts as a failure."""
    error: str | None = None
    folder: str | None = None
    group: str | None = None
    """The same for jobs that differ in their seed only. None: the config was refused."""


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed only."""

    overrides: dict[str, str]
    rows: list[Row]
    by_seed: dict[int, float]
    """The final accuracy of each finished job, on the split that ``selection_split`` names."""
    estimate: Estimate | None
    """The mean of these. None: no job is done."""


def read(folder: Path) -> list[Row]:
    """The jobs of the sweep in ``folder``.

    Raises:
        UserError: it is not the folder of a sweep.
    """
    return [_row(folder, entry) for entry in read_manifest(folder)]


def selection_split(rows: Sequence[Row]) -> str:
    """The split that groups are compared on: ``holdout`` if every finished job has held-out images, else ``test``."""
    done = [row for row in rows if row.final is not None]
    return "holdout" if done and all(row.holdout_final is not None for row in done) else "test"


def groups(rows: Sequence[Row]) -> list[Group]:
    """The rows grouped by everything but the seed, in the order of their first row."""
    held_out = selection_split(rows) == "holdout"
    together: dict[object, list[Row]] = {}
    for row in rows:
        words = {key: value for key, value in row.overrides.items() if key != "seed" and not is_irrelevant(key)}
        together.setdefault(row.group or frozenset(words.items()), []).append(row)
    result = []
    for members in together.values():
        words = {key: value for key, value in members[0].overrides.items() if key != "seed" and not is_irrelevant(key)}
        finals = {row.seed: row.holdout_final if held_out else row.final for row in members}
        by_seed = {seed: value for seed, value in finals.items() if seed is not None and value is not None}
        images = max((row.holdout_images if held_out else row.test_images) or 1 for row in members)
        estimate = Estimate.of(list(by_seed.values()), 100 / images) if by_seed else None
        result.append(Group(words, members, by_seed, estimate))
    return result


def compared(rows: Sequence[Row], found: Sequence[Group]) -> dict[int, Comparison | None]:
    """The comparison of each of the groups ``found`` in ``rows`` with the best group, by index. The best group has None.

    Empty if nothing can be compared: fewer than two groups have 3 runs, or the runs were measured on different images.
    """
    if len(measured_on(rows)) != 1:
        return {}
    done = next(row for row in rows if row.data is not None)
    images = (done.holdout_images if selection_split(rows) == "holdout" else done.test_images) or 1
    by_seed = [group.by_seed for group in found]
    top = best_group(by_seed)
    tests = {i: test for i, test in enumerate(compare_with_best(by_seed, 100 / images)) if test is not None}
    return {} if top is None or not tests else {top: None, **tests}


def measured_on(rows: Sequence[Row]) -> list[str]:
    """The images that the finished jobs of ``rows`` were measured on, in words; more than one if they differ."""
    done = [row for row in rows if row.data is not None and row.test_images is not None]
    if selection_split(rows) == "holdout":
        return list(dict.fromkeys(f"{row.holdout_images:,} held-out training images of {row.data}" for row in done))
    return list(dict.fromkeys(describe_test_set(str(row.data), row.test_images or 0) for row in done))


def as_text(rows: Sequence[Row], width: int | None = None) -> str:
    """The table in lines of at most ``width``: a line for each group. Overrides that all groups have are left out."""
    found = groups(rows)
    varied = varied_keys(found)
    split, where = selection_split(rows), measured_on(rows)
    against = compared(rows, found)
    several = ["measured on"] if len(where) > 1 else []
    heads = [*varied, *several, f"final {split} accuracy", "deviation", "n", "95 % interval", ""]
    lines = []
    for i, group in enumerate(found):
        e = group.estimate
        figures = ["", "", "0", ""]
        if e is not None:
            figures = [f"{e.mean:.2f}", "" if e.deviation is None else f"{e.deviation:.3f}", str(e.n), _interval(e)]
        notes = ", ".join([*_standing(i, group, against), *_counts(group.rows)])
        place = measured_on(group.rows)[:1] or [""]
        lines.append([*(group.overrides.get(key, "") for key in varied), *(place if several else []), *figures, notes])
    text = aligned(heads, lines, len(varied) + len(several), width)
    if where:
        text.append(f"measured on {where[0]}" if len(where) == 1 else "groups on different images are not compared")
    if against:
        text.append("p: paired t-test by seed against the best group, Holm-adjusted; tied from p = 0.05 up")
    if against and split == "test":
        text.append(
            "To choose a setting, add data.holdout=5000. Then held-out training images decide, not the test images."
        )
    return text_layout.wrapped("\n".join([*text, totals(rows)]), width)


def totals(rows: Sequence[Row], what: str = "jobs") -> str:
    """One line that counts jobs (or the trials of a search), failures and budgets."""
    done = sum(row.status == DONE for row in rows)
    return ", ".join([f"{len(rows)} {what}: {done} done", *_counts(rows)])


def failed(rows: Sequence[Row]) -> bool:
    """Whether a job has failed, or has an enforced budget that it does not meet."""
    return any(row.status == FAILED or (row.enforced and row.budget in (MISSED, NOT_JUDGED)) for row in rows)


def _standing(i: int, group: Group, against: dict[int, Comparison | None]) -> list[str]:
    """Where the group stands beside the best one; for small groups the number of runs that is too small for that."""
    n = len(group.by_seed)
    if 0 < n < MIN_RUNS:
        return [f"n = {n}"]
    if i not in against:
        return []
    test = against[i]
    if test is not None:
        return [f"tied for best (p = {test.p:.2f})" if test.tied else f"{test.difference:+.2f}, p = {test.p:.2g}"]
    alone = not any(other is not None and other.tied for other in against.values())
    return ["best" if alone else "tied for best"]


def _counts(rows: Sequence[Row]) -> list[str]:
    numbers = {
        "failed": sum(row.status == FAILED for row in rows),
        "to do": sum(row.status not in (DONE, FAILED) for row in rows),
        "missed the budget": sum(row.budget == MISSED for row in rows),
        "budgets not judged": sum(row.budget == NOT_JUDGED for row in rows),
    }
    return [f"{number} {what}" for what, number in numbers.items() if number]


def aligned(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int, width: int | None = None) -> list[str]:
    """The lines of a table of at most ``width``: the first ``left`` columns to the left, figures to the right.

    The deviation is the first that a narrow table does without.
    """
    drop = [i for i, head in enumerate(heads) if head == "deviation"]
    return text_layout.table(heads, lines, range(left), width, drop)


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Writes ``sweep.csv`` and ``sweep.json``.

    Raises:
        RunError: they cannot be written.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row.overrides))
    columns = [name for name in Row.__dataclass_fields__ if name != "overrides"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*keys, *columns])
    for row in rows:
        table.writerow([*(row.overrides.get(key, "") for key in keys), *(getattr(row, name) for name in columns)])
    files.write(folder / CSV, text.getvalue().encode())
    found = groups(rows)
    against = compared(rows, found)
    means = [
        {
            "overrides": group.overrides,
            **({} if group.estimate is None else asdict(group.estimate)),
            "measured_on": next(iter(measured_on(group.rows)), None),
            "against_best": None if (test := against.get(i)) is None else {**asdict(test), "tied": test.tied},
            "best": i in against and against[i] is None,
        }
        for i, group in enumerate(found)
    ]
    content = {
        "jobs": [asdict(row) for row in rows],
        "judged_by": selection_split(rows),
        "measured_on": measured_on(rows),
        "groups": means,
    }
    files.write(folder / JSON, (json.dumps(content, indent=1) + "\n").encode())


def _row(folder: Path, entry: ManifestEntry) -> Row:
    overrides = dict(override.partition("=")[::2] for override in entry.overrides)
    if entry.folder is None:
        return Row(overrides, FAILED, error=entry.error)
    place = folder / entry.folder
    state = status(place)
    summary = read_summary(place) if state == DONE else None
    if summary is None:
        error = failure(place) if state == FAILED else None
        return Row(overrides, state, error=error, folder=entry.folder, group=entry.group)
    accuracy = summary.accuracy
    verdict = None if entry.budget is None else after_training(entry.budget, summary.reached)
    return Row(
        overrides,
        state,
        data=summary.data["name"],
        test_images=summary.data["test"],
        holdout_images=summary.data["holdout"],
        seed=summary.seed,
        final=accuracy.test.final,
        best=accuracy.test.best,
        mean_last_5=accuracy.test.mean_last_5,
        train_final=accuracy.train.final,
        holdout_final=None if accuracy.holdout is None else accuracy.holdout.final,
        parameters=summary.parameters,
        seconds=summary.seconds.train + summary.seconds.eval,
        budget=None
        if verdict is None or not verdict.checks
        else {True: MET, False: MISSED, None: NOT_JUDGED}[verdict.met],
        enforced=entry.budget is not None and bool(entry.budget.enforce),
        folder=entry.folder,
        group=entry.group,
    )


def varied_keys(found: Sequence[Group]) -> list[str]:
    """The overrides, but for the seed, that are not the same in all groups."""
    keys = dict.fromkeys(key for group in found for key in group.overrides)
    return [key for key in keys if len({group.overrides.get(key) for group in found}) > 1]


def _interval(e: Estimate) -> str:
    return "" if e.low is None else f"{e.low:.2f} to {e.high:.2f}"
