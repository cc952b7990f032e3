"""Carries a sweep out on this machine, and writes down how any sweep stands."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from mnist_lite import fit
from mnist_lite.schema import SweepConfig
from mnist_lite.sweep import pool, table
from mnist_lite.sweep.board import Board
from mnist_lite.sweep.plan import STUDY
from mnist_lite.sweep.table import Row, read, write

MOST_ON_GPU = 4


def conduct(headline: str, source: pool.Source, device: str, sweep: SweepConfig) -> int:
    """Runs the jobs of ``source`` on workers of this machine. How many of them have failed.

    Raises:
        Interrupted: a signal came. All that ran can be gone on with.
    """
    workers = min(source.count, sweep.workers or default_workers(device))
    print(
        fit.wrapped(f"{headline}; {workers} at a time" if workers else headline, fit.width_of(sys.stdout)), flush=True
    )
    if not workers:
        return 0
    with closing(Board(source.count, source.label)) as board:
        return pool.work(source, workers, sweep.fail_fast, board)


def default_workers(device: str) -> int:
    """One for each core that this process may use; on a GPU, which small runs do not fill, up to four."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_gpu = device.startswith(("cuda", "mps")) or (device == "auto" and Path("/dev/nvidia0").exists())
    return min(cores, MOST_ON_GPU) if on_gpu else cores


def whereabouts(folder: Path) -> str:
    """Where the table and the pictures of the sweep in ``folder`` are, a line for each file."""
    pictures = sorted(folder.glob("*.png"))
    return "\n".join([f"table: {folder / table.CSV}", *(f"picture: {path}" for path in pictures)])


def conclude(folder: Path) -> tuple[list[Row], str]:
    """How the sweep in ``folder`` stands: its rows, and the table for this terminal. Tables and pictures are written there.

    Raises:
        UserError: it is not the folder of a sweep.
        RunError: the files cannot be written.
    """
    rows, width = read(folder), fit.width_of(sys.stdout)
    searched = (folder / STUDY).is_file()
    if rows:
        write(folder, rows)
    if any(row.final is not None for row in rows):
        from mnist_lite.sweep import plots  # imports matplotlib, which takes a second

        plots.write_curves(folder, rows)
        if not searched:
            plots.write_comparisons(folder, rows)
    if not searched:
        return rows, table.as_text(rows, width)
    from mnist_lite.sweep import findings

    findings.write_plots(folder, rows)
    return rows, findings.as_text(rows, width)
