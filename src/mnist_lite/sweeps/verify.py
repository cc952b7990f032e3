"""Checks finished runs: the figures in ``summary.json`` must follow from the rows in ``metrics.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from mnist_lite.runner.metrics import accuracies, seconds
from mnist_lite.runner.metrics_file import METRICS, read_evaluations
from mnist_lite.runner.summary import SUMMARY, read_summary
from mnist_lite.sweeps.table import Row, compared, groups

CHECKED = 200
"""Up to this number of finished runs, ``compare`` checks all of them."""


def to_verify(rows: Sequence[Row]) -> list[Row]:
    """The finished runs that are checked by default.

    These are all of them, if there are at most 200. Else they are the runs of the best group and of the groups that are tied
    with it, and without such groups the 200 runs with the highest accuracy.
    """
    done = [row for row in rows if row.final is not None]
    if len(done) <= CHECKED:
        return done
    found = groups(rows)
    top = [found[i] for i, test in compared(rows, found).items() if test is None or test.tied]
    if top:
        return [row for group in top for row in group.rows if row.final is not None]
    return sorted(done, key=lambda row: -(row.holdout_final or row.final or 0.0))[:CHECKED]


def differences(folder: Path) -> list[str]:
    """Where the summary of the run in ``folder`` differs from its metrics: one line for each figure. Empty: they agree."""
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
        if not _same(claimed.get(key), value)
    ]


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, node


def _same(claimed: Any, value: Any) -> bool:
    if isinstance(value, list):
        return isinstance(claimed, list) and len(claimed) == len(value) and all(map(_same, claimed, value))
    if isinstance(value, int | float) and isinstance(claimed, int | float):
        return math.isclose(claimed, value, rel_tol=1e-9, abs_tol=1e-9)
    return bool(claimed == value)
