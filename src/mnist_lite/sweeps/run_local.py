"""Carries a sweep out on this machine, and writes down how any sweep stands."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from mnist_lite.config.schema import SweepConfig
from mnist_lite.process import cores
from mnist_lite.reporting import text_layout
from mnist_lite.sweeps import pool, table
from mnist_lite.sweeps.manifest import STUDY
from mnist_lite.sweeps.progress import ProgressDisplay
from mnist_lite.sweeps.results import Row, finished, read_results
from mnist_lite.sweeps.source import JobSource

MAX_WORKERS_ON_GPU = 4


def run_local(headline: str, source: JobSource, device: str, sweep: SweepConfig) -> int:
    """Runs the jobs of ``source`` on workers of this machine. How many of them have failed.

    Raises:
        Interrupted: a signal came. All that ran can be gone on with.
    """
    workers = min(source.count, sweep.workers or default_workers(device))
    print(
        text_layout.wrapped(
            f"{headline}; {workers} at a time" if workers else headline, text_layout.width_of(sys.stdout)
        ),
        flush=True,
    )
    if not workers:
        return 0
    with closing(ProgressDisplay(source.count, source.label)) as display:
        return pool.run_jobs(source, workers, sweep.fail_fast, display)


def default_workers(device: str) -> int:
    """One for each core that this process may use; on a GPU, which small runs do not fill, up to four."""
    allowed = cores.usable()
    on_gpu = device.startswith(("cuda", "mps")) or (device == "auto" and Path("/dev/nvidia0").exists())
    return min(allowed, MAX_WORKERS_ON_GPU) if on_gpu else allowed


def list_outputs(folder: Path) -> str:
    """Where the table and the pictures of the sweep in ``folder`` are, a line for each file."""
    pictures = sorted(folder.glob("*.png"))
    return "\n".join([f"table: {folder / table.CSV}", *(f"picture: {path}" for path in pictures)])


def finalize(folder: Path) -> tuple[list[Row], str]:
    """The rows of the sweep in ``folder``, and its table for this terminal. Writes the table and the pictures there.

    Raises:
        UserError: it is not the folder of a sweep.
        RunError: the files cannot be written.
    """
    rows, width = read_results(folder), text_layout.width_of(sys.stdout)
    searched = (folder / STUDY).is_file()
    if rows:
        table.write_table(folder, rows)
    if finished(rows):
        _draw(folder, rows, searched)
    if not searched:
        return rows, table.as_text(rows, width)
    from mnist_lite.sweeps import search_table

    return rows, search_table.as_text(rows, width)


def _draw(folder: Path, rows: list[Row], searched: bool) -> None:
    """Draws the pictures. If that fails, a warning is all: no figure depends on a picture."""
    from mnist_lite.reporting.png import DrawingError
    from mnist_lite.sweeps import plots, search_plots

    try:
        plots.write_curves(folder, rows)
        (search_plots.write_plots if searched else plots.write_comparisons)(folder, rows)
    except DrawingError as error:
        print(f"warning: a picture of the sweep was not drawn: {error}", file=sys.stderr, flush=True)
