"""The table of a sweep as text for a terminal, and its files ``sweep.csv`` and ``sweep.json``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mnist_lite import files
from mnist_lite.reporting import text_layout
from mnist_lite.sweeps.job_status import DONE, FAILED
from mnist_lite.sweeps.results import (
    MISSED,
    NOT_JUDGED,
    Group,
    JobRow,
    describe_images,
    group_rows,
    selection_split,
    varied_keys,
)
from mnist_lite.sweeps.statistics import MIN_RUNS

CSV, JSON = "sweep.csv", "sweep.json"
MAX_LINES = 50
"""If there are more groups, the table shows only the best ones."""
MAX_FAILURES = 10
"""If more jobs failed, only the first ones are listed below the table."""
MAX_KEYS = 20
"""If more keys vary, the table shows only the first ones."""
MAX_CELL = 200
"""Longer values are cut in the table. The files have them in full."""
MAX_COLUMNS = 500
"""If the jobs of a sweep have more keys, ``sweep.csv`` has no columns for the others."""


def as_text(rows: Sequence[JobRow], width: int | None = None) -> str:
    """The table of a grid in lines of at most ``width``, one line for each group. Overrides of all groups are left out.

    Of many groups the best are shown, of many keys the first, and of a long value the start. A line says what is left out.
    """
    groups, split = group_rows(rows), selection_split(rows)
    hidden = max(0, len(groups) - MAX_LINES)
    shown = sorted(groups, key=_rank)[:MAX_LINES] if hidden else groups
    images = describe_images(rows, split)
    keys, keys_note = shown_keys([group.overrides for group in groups])
    left = [*keys, "measured on"] if len(images) > 1 else keys
    heads = [*left, f"final {split} accuracy", "deviation", "n", "95 % interval", ""]
    lines = []
    for group in shown:
        cells = {**group.overrides, "measured on": "".join(describe_images(group.rows, split))}
        lines.append([*(cells.get(key, "") for key in left), *_estimate(group), _notes(group, groups)])
    notes, deviation = len(heads) - 1, len(left) + 1
    heads, *lines = [short_cells(line) for line in [heads, *lines]]
    text = text_layout.table(heads, lines, [*range(len(left)), notes], width, drop=[deviation])
    if hidden:
        text.append(f"the {MAX_LINES} best of {len(groups):,} groups; {JSON} has all of them")
    text += keys_note
    if images:
        text.append(f"measured on {images[0]}" if len(images) == 1 else "groups on different images are not compared")
    if any(group.is_best for group in groups):
        text.append("p: paired t-test by seed against the best group, Holm-adjusted; tied means p >= 0.05")
        if split == "test":
            text.append(
                "To choose a setting, add data.holdout=5000. Then held-out training images decide, not the test images."
            )
    return text_layout.wrapped("\n".join([*text, *totals(rows)]), width)


def shown_keys(overrides: Sequence[dict[str, str]]) -> tuple[list[str], list[str]]:
    """The keys that the table shows, and a line if there are more."""
    varied = varied_keys(overrides)
    keys = varied[:MAX_KEYS]
    is_cut = len(keys) < len(varied)
    return keys, [f"the first {len(keys)} of {len(varied):,} keys that vary; {JSON} has all of them"] if is_cut else []


def short_cells(cells: Sequence[str]) -> list[str]:
    """The cells of a line of the table. Long ones are cut."""
    return [text_layout.shortened(cell, MAX_CELL) for cell in cells]


def _rank(group: Group) -> tuple[bool, float]:
    """The group that the others are compared with comes first, then groups with a higher mean. The last have no mean."""
    return not group.is_best, -group.estimate.mean if group.estimate else math.inf


def totals(rows: Sequence[JobRow], noun: str = "job") -> list[str]:
    """A line with the numbers of jobs (or trials of a search), failures and budgets. Then a line for each job that failed."""
    done = sum(row.status == DONE for row in rows)
    keys = varied_keys([row.overrides for row in rows])[:MAX_KEYS]
    failed = [row for row in rows if row.status == FAILED]
    lines = [", ".join([f"{text_layout.counted(len(rows), noun)}: {done} done", *_counts(rows)])]
    for row in failed[:MAX_FAILURES]:
        settings = ",".join(f"{key}={row.overrides[key]}" for key in keys if key in row.overrides)
        lines.append(f"failed: {text_layout.shortened(settings, MAX_CELL)}: {row.error}")
    hidden = len(failed) - MAX_FAILURES
    return [*lines, f"and {hidden:,} more failed; {JSON} has all of them"] if hidden > 0 else lines


def write_table(folder: Path, rows: Sequence[JobRow]) -> None:
    """Writes ``sweep.csv`` and ``sweep.json``.

    Raises:
        RunError: a file cannot be written.
    """
    names = [name for name in JobRow.__dataclass_fields__ if name != "overrides"]
    text = io.StringIO()
    keys = list(dict.fromkeys(key for row in rows for key in row.overrides))
    columns = dict.fromkeys([*keys[:MAX_COLUMNS], *names])
    table = csv.DictWriter(text, list(columns), extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for row in rows:
        known = {name: value for name in names if (value := getattr(row, name)) is not None}
        table.writerow({**row.overrides, **known})
    files.write(folder / CSV, text.getvalue().encode())
    split = selection_split(rows)
    content = {
        "jobs": [asdict(row) for row in rows],
        "selection_split": split,
        "measured_on": describe_images(rows, split),
        "groups": [_group_as_dict(group, split) for group in group_rows(rows)],
    }
    files.write(folder / JSON, (json.dumps(content, indent=1) + "\n").encode())


def _group_as_dict(group: Group, split: str) -> dict[str, object]:
    test = group.comparison
    return {
        "overrides": group.overrides,
        **(asdict(group.estimate) if group.estimate else {}),
        "measured_on": next(iter(describe_images(group.rows, split)), None),
        "against_best": {**asdict(test), "tied": test.tied} if test else None,
        "best": group.is_best,
    }


def _estimate(group: Group) -> list[str]:
    """The cells for the mean, the deviation, n and the interval."""
    e = group.estimate
    if e is None:
        return ["", "", "0", ""]
    deviation = "" if e.deviation is None else f"{e.deviation:.3f}"
    interval = "" if e.low is None else f"{e.low:.2f} to {e.high:.2f}"
    return [f"{e.mean:.2f}", deviation, str(e.n), interval]


def _notes(group: Group, groups: Sequence[Group]) -> str:
    """The comparison with the best group, or the number of runs if it is too small for that; then counts."""
    notes = []
    if 0 < len(group.by_seed) < MIN_RUNS:
        notes.append(f"n = {len(group.by_seed)}")
    elif group.is_best:
        ties = any(other.comparison and other.comparison.tied for other in groups)
        notes.append("tied for best" if ties else "best")
    elif test := group.comparison:
        notes.append(f"tied for best (p = {test.p:.2f})" if test.tied else f"{test.difference:+.2f}, p = {test.p:.2g}")
    return ", ".join([*notes, *_counts(group.rows)])


def _counts(rows: Sequence[JobRow]) -> list[str]:
    numbers = {
        "failed": sum(row.status == FAILED for row in rows),
        "to do": sum(row.status not in (DONE, FAILED) for row in rows),
        "missed the budget": sum(row.budget == MISSED for row in rows),
        "not judged by the budget": sum(row.budget == NOT_JUDGED for row in rows),
    }
    return [f"{number} {text}" for text, number in numbers.items() if number]
