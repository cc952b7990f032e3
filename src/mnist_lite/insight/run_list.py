"""The list of run folders, newest first: what was changed in each run, how far it is, its accuracy and its state."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_lite.errors import UserError, printable
from mnist_lite.insight.changes import changes
from mnist_lite.insight.locate import RUNS, all_runs
from mnist_lite.model.budget import describe_test_set
from mnist_lite.reporting import text_layout
from mnist_lite.runner.config_file import read_config
from mnist_lite.runner.folder import is_locked
from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.runner.summary import read_summary
from mnist_lite.sweeps.job_status import DONE, FAILED, INTERRUPTED, failure

RUNNING = "running"


@dataclass(frozen=True)
class ListedRun:
    """A line of the list."""

    path: Path
    changed: str
    """The overrides that make the config of the run, in one line."""
    epochs: int
    """Epochs that are done. The last one may be incomplete if the run ended early."""
    planned: int | None
    """Epochs of the config. None: the config cannot be read."""
    accuracy: float | None
    """Test accuracy in percent of the last evaluation. None: there was none yet."""
    measured_on: str
    """The test images. Empty: not known before the end of the run."""
    state: str
    """``running``: a process holds the lock. ``done``, ``interrupted`` or ``failed``: see ``sweeps/job_status.py``."""


def print_runs(names: Sequence[str], count: str) -> int:
    """Prints the newest ``count`` runs in the folder ``names[0]``, or in ``runs`` if ``names`` is empty. Returns the exit code.

    Raises:
        UserError: ``count`` is no number, or there is no run.
    """
    if len(names) > 1:
        raise UserError(f"runs: name one folder, not {len(names)}")
    if not count.isdecimal() or int(count) == 0:
        raise UserError(f"count: {count!r} is not allowed; a whole number from 1 up is expected")
    folder = Path(names[0]) if names else RUNS
    runs, total = list_runs(folder, int(count))
    print(as_text(runs, total, folder, text_layout.width_of(sys.stdout)))
    return 0


def list_runs(folder: Path, count: int) -> tuple[list[ListedRun], int]:
    """The newest ``count`` runs in ``folder`` and in its sweeps, newest first, and the number of all runs.

    Raises:
        UserError: there is no run.
    """
    paths = all_runs(folder)
    if not paths:
        raise UserError(f"runs: there is no run folder in {folder}")
    return [_read(path) for path in paths[:count]], len(paths)


def as_text(runs: Sequence[ListedRun], total: int, folder: Path, width: int | None = None) -> str:
    """The list as a table, in lines of at most ``width`` if possible."""
    heads = ("run", "changed", "epochs", "test accuracy", "state")
    lines = [
        (
            printable(str(run.path.relative_to(folder))),
            printable(run.changed),
            f"{run.epochs}/{'?' if run.planned is None else run.planned}",
            "" if run.accuracy is None else f"{run.accuracy:.2f}",
            run.state,
        )
        for run in runs
    ]
    text = text_layout.table(heads, lines, left={0, 1, 4}, width=width)
    images = list(dict.fromkeys(run.measured_on for run in runs if run.measured_on))
    if images:
        text.append(f"accuracies in % on {' or '.join(images)}")
    if total > len(runs):
        text.append(
            f"the {'newest' if len(runs) == 1 else f'{len(runs)} newest'} of {total:,} runs; count={total} shows all"
        )
    return "\n".join(text)


def _read(path: Path) -> ListedRun:
    try:
        config: dict[str, Any] = read_config(path)
        changed = " ".join(changes(config)) or "nothing: all defaults"
    except UserError as error:
        config, changed = {}, str(error).removeprefix(f"{path}/")
    planned = config.get("epochs")
    planned = planned if isinstance(planned, int) else None
    summary = read_summary(path)
    if summary is not None:
        images = describe_test_set(summary.data["name"], summary.data["test"])
        return ListedRun(path, changed, summary.epochs, planned, summary.accuracy.test.final, images, DONE)
    state = RUNNING if is_locked(path) else INTERRUPTED if failure(path) is None else FAILED
    try:
        rows = read_evaluations(path)
    except OSError:
        rows = []
    epochs = max((int(row["epoch"]) - (not row["epoch_end"]) for row in rows), default=0)
    return ListedRun(path, changed, epochs, planned, rows[-1]["test/accuracy"] if rows else None, "", state)
