"""The results of a sweep: a row for each job, a mean for each group of jobs that differ in their seed alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mnist_lite import durable, fit
from mnist_lite.results import read_summary
from mnist_lite.sweep.job import DONE, ERROR, FAILED, indifferent, status
from mnist_lite.sweep.plan import Entry, read_plan
from mnist_lite.sweep.statistics import Estimate, best

CSV, JSON = "sweep.csv", "sweep.json"


@dataclass(frozen=True)
class Row:
    """One job. Accuracies in percent, of the test split; those of a job that is not done are None."""

    overrides: dict[str, str]
    status: str
    final: float | None
    best: float | None
    """Of the best evaluation on test: chosen on the test images."""
    mean_last_5: float | None
    train_final: float | None
    holdout_final: float | None
    parameters: int | None
    seconds: float | None
    error: str | None
    folder: str | None
    group: str | None
    """The same for jobs that differ in their seed alone; None: refused."""


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed alone."""

    overrides: dict[str, str]
    rows: list[Row]
    estimate: Estimate | None
    """Of the final accuracy, of the jobs that are done, on the split that ``judge`` names."""


def read(folder: Path) -> list[Row]:
    """The jobs of the sweep in ``folder`` as they stand.

    Raises:
        UserError: it is not a sweep's folder.
    """
    return [_row(folder, entry) for entry in read_plan(folder)]


def judge(rows: Sequence[Row]) -> str:
    """``holdout``, if all jobs that are done kept images of train out to be selected by, else ``test``."""
    done = [row for row in rows if row.final is not None]
    return "holdout" if done and all(row.holdout_final is not None for row in done) else "test"


def groups(rows: Sequence[Row]) -> list[Group]:
    """The rows by everything but the seed, in the order of their first."""
    held_out = judge(rows) == "holdout"
    together: dict[object, list[Row]] = {}
    for row in rows:
        words = {key: value for key, value in row.overrides.items() if key != "seed" and not indifferent(key)}
        together.setdefault(row.group or frozenset(words.items()), []).append(row)
    result = []
    for members in together.values():
        words = {key: value for key, value in members[0].overrides.items() if key != "seed" and not indifferent(key)}
        finals = [row.holdout_final if held_out else row.final for row in members]
        done = [value for value in finals if value is not None]
        result.append(Group(words, members, Estimate.of(done) if done else None))
    return result


def as_text(rows: Sequence[Row], width: int | None = None) -> str:
    """The table, at most ``width`` wide: a line for each group, what is the same in all of them left out."""
    found = groups(rows)
    varied = varied_keys(found)
    measured = [group for group in found if group.estimate is not None]
    winners = {id(measured[i]) for i in best([group.estimate for group in measured if group.estimate is not None])}
    split = judge(rows)
    heads = [*varied, f"final {split} accuracy", "deviation", "n", "95 % interval", ""]
    lines = []
    for group in found:
        e = group.estimate
        failed = sum(row.status == FAILED for row in group.rows)
        rest = len(group.rows) - failed - (e.n if e else 0)
        notes = ["best" if len(winners) == 1 else "tied for best"] if id(group) in winners and len(measured) > 1 else []
        notes += [f"{failed} failed"] * (failed > 0) + [f"{rest} to do"] * (rest > 0)
        figures = ["", "", "0", ""]
        if e is not None:
            figures = [f"{e.mean:.2f}", "" if e.deviation is None else f"{e.deviation:.3f}", str(e.n), _interval(e)]
        lines.append([*(group.overrides.get(key, "") for key in varied), *figures, ", ".join(notes)])
    text = aligned(heads, lines, len(varied), width)
    if winners and len(measured) > 1 and split == "test":
        text.append("judged by the test images; with data.holdout=5000 by training images that are kept out")
    return fit.wrapped("\n".join(text), width)


def aligned(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int, width: int | None = None) -> list[str]:
    """The lines of a table of at most ``width``: the first ``left`` columns to the left, figures to the right.

    The deviation is the first that a narrow table does without.
    """
    drop = [i for i, head in enumerate(heads) if head == "deviation"]
    return fit.table(heads, lines, range(left), width, drop)


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
    durable.write(folder / CSV, text.getvalue().encode())
    means = [{"overrides": g.overrides, **({} if g.estimate is None else asdict(g.estimate))} for g in groups(rows)]
    content = {"jobs": [asdict(row) for row in rows], "judged_by": judge(rows), "groups": means}
    durable.write(folder / JSON, (json.dumps(content, indent=1) + "\n").encode())


def _row(folder: Path, entry: Entry) -> Row:
    overrides = dict(override.partition("=")[::2] for override in entry.overrides)
    if entry.folder is None:
        return Row(overrides, FAILED, *(None,) * 7, entry.error, None, None)
    place = folder / entry.folder
    state = status(place)
    found = read_summary(place) if state == DONE else None
    error = None
    if state == FAILED:
        error = (place / ERROR).read_text("utf-8", "replace").strip()
    if found is None:
        return Row(overrides, state, *(None,) * 7, error, entry.folder, entry.group)
    test, train = found["accuracy"]["test"], found["accuracy"]["train"]
    held = found["accuracy"].get("holdout", {}).get("final")
    seconds = sum(found["seconds"].values())
    figures = (test["final"], test["best"], test["mean_last_5"], train["final"], held, found["parameters"], seconds)
    return Row(overrides, state, *figures, None, entry.folder, entry.group)


def varied_keys(found: Sequence[Group]) -> list[str]:
    """The overrides, but for the seed, that are not the same in all groups."""
    keys = dict.fromkeys(key for group in found for key in group.overrides)
    return [key for key in keys if len({group.overrides.get(key) for group in found}) > 1]


def _interval(e: Estimate) -> str:
    return "" if e.low is None else f"{e.low:.2f} to {e.high:.2f}"
