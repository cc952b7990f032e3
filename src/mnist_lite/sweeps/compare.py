"""Shows a sweep as it stands, and checks the figures of its runs."""

from __future__ import annotations

import sys
from pathlib import Path

from mnist_lite.errors import UserError
from mnist_lite.sweeps.finalize import finalize, list_outputs
from mnist_lite.sweeps.manifest import MANIFEST
from mnist_lite.sweeps.verify import differences, to_verify


def compare(folder: Path, verify: bool) -> int:
    """Prints the table of the sweep in ``folder`` and writes its plots. Returns the exit code.

    The summaries of the runs are checked against their metrics: the runs that matter for the table, or with ``verify`` all.
    A difference is printed, and the exit code is 1.

    Raises:
        UserError: ``folder`` is not the folder of a sweep.
        RunError: the files cannot be written.
    """
    rows, text = finalize(folder)
    if not rows:
        raise UserError(f"compare: {folder} is not the folder of a sweep: it has no jobs in {MANIFEST}")
    print(text)
    print(f"\n{list_outputs(folder)}")
    checked = [row for row in rows if row.final is not None] if verify else to_verify(rows)
    found = [(row.folder, line) for row in checked if row.folder for line in differences(folder / row.folder)]
    for name, line in found:
        print(f"warning: {name}: {line}", file=sys.stderr)
    return 1 if found else 0
