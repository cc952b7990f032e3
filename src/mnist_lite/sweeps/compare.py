"""What the ``compare`` command does: prints the table of a sweep, and checks the summaries of its runs.

A summary is correct if its values follow from the rows in ``metrics.jsonl``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from mnist_lite import files
from mnist_lite.errors import MachineError, UserError, printable
from mnist_lite.runner.metrics import accuracies, seconds
from mnist_lite.runner.metrics_file import METRICS, read_evaluations
from mnist_lite.runner.summary import SUMMARY, read_summary
from mnist_lite.sweeps.finalize import list_outputs, read_table, write_outputs
from mnist_lite.sweeps.manifest import MANIFEST
from mnist_lite.sweeps.results import JobRow, finished, group_rows

MAX_CHECKED = 200
"""If a sweep has more finished runs, ``compare`` checks only the best of them."""


def compare(folder: Path, verify: bool) -> int:
    """Prints the table of the sweep in ``folder``, and writes its table and pictures if possible. Returns the exit code.

    The summaries of runs are compared with their metrics: of all finished runs with ``verify``, else see ``rows_to_verify``.
    A difference is printed, and the exit code is 1.

    Raises:
        UserError: ``folder`` is not the folder of a sweep.
    """
    folder = files.real_folder(folder)
    rows, text = read_table(folder)
    if not rows:
        raise UserError(f"compare: {folder} is not the folder of a sweep: it has no jobs in {MANIFEST}")
    print(printable(text))
    try:
        write_outputs(folder, rows)
        print(printable(f"\n{list_outputs(folder)}"))
    except MachineError as error:  # a folder that can only be read
        print(printable(f"\nnote: no table file and no pictures: {error}"))
    checked = finished(rows) if verify else rows_to_verify(rows)
    problems = [f"{row.folder}: {line}" for row in checked for line in differences(folder / str(row.folder))]
    for problem in problems:
        print(printable(f"warning: {problem}"), file=sys.stderr)
    return 1 if problems else 0


def rows_to_verify(rows: Sequence[JobRow]) -> list[JobRow]:
    """The finished runs that are checked by default: all of them, if there are at most 200.

    Otherwise these are the runs of the best group and of the groups that are tied with it. If groups cannot be compared, these
    are the 200 runs with the highest accuracy.
    """
    done = finished(rows)
    if len(done) <= MAX_CHECKED:
        return done
    top = [group for group in group_rows(rows) if group.is_best or (group.comparison and group.comparison.tied)]
    if top:
        return [row for group in top for row in finished(group.rows)]
    return sorted(done, key=lambda row: -(row.holdout_final or row.final or 0.0))[:MAX_CHECKED]


def differences(folder: Path) -> list[str]:
    """The differences between the summary and the metrics of the run in ``folder``, one line for each. Empty: they agree."""
    summary = read_summary(folder)
    if summary is None:
        return [f"{SUMMARY} is missing or not complete"]
    try:
        rows = read_evaluations(folder)
    except (OSError, ValueError) as error:
        return [f"{METRICS} cannot be read: {error}"]
    if not rows:
        return [f"{METRICS} has no evaluation"]
    last = {"epochs": rows[-1]["epoch"], "steps": rows[-1]["step"]}
    expected = to_builtins({"accuracy": accuracies(rows), "seconds": seconds(rows), **last})
    claimed = dict(_leaves(to_builtins(summary)))
    return [
        f"{key} is {claimed.get(key)} in {SUMMARY}, and {value} follows from {METRICS}"
        for key, value in _leaves(expected)
        if not _equal(claimed.get(key), value)
    ]


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested mappings, with their keys: ``("accuracy.test.final", 99.1)``."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, node


def _equal(claimed: Any, value: Any) -> bool:
    if isinstance(value, list):
        return isinstance(claimed, list) and len(claimed) == len(value) and all(map(_equal, claimed, value))
    if isinstance(value, int | float) and isinstance(claimed, int | float):
        return math.isclose(claimed, value, rel_tol=1e-9, abs_tol=1e-9)
    return bool(claimed == value)
