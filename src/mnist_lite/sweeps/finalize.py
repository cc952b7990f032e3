"""Writes the table and the pictures of a sweep into its folder, from the summaries of its runs."""

from __future__ import annotations

import sys
from pathlib import Path

from mnist_lite.reporting import text_layout
from mnist_lite.reporting.png import DrawingError
from mnist_lite.sweeps import plots, search_plots, search_table, table
from mnist_lite.sweeps.manifest import STUDY
from mnist_lite.sweeps.results import JobRow, finished, read_results

PICTURES = ("curves.png", "search.png", "accuracy_by_*.png")
"""The names of the pictures of a sweep. Its folder may have others: those of ``compare`` with several sweeps."""


def finalize(folder: Path) -> tuple[list[JobRow], str]:
    """Writes the table and the pictures of the sweep in ``folder``. Returns its rows, and the table as text for the terminal.

    Raises:
        UserError: ``folder`` is not the folder of a sweep.
        MachineError: a file cannot be written.
    """
    rows, text = read_table(folder)
    write_outputs(folder, rows)
    return rows, text


def read_table(folder: Path) -> tuple[list[JobRow], str]:
    """The rows of the sweep in ``folder``, and its table as text for the terminal. Writes nothing.

    Raises:
        UserError: ``folder`` is not the folder of a sweep.
    """
    rows, width = read_results(folder), text_layout.width_of(sys.stdout)
    return rows, (search_table if _is_search(folder) else table).as_text(rows, width)


def write_outputs(folder: Path, rows: list[JobRow]) -> None:
    """Writes the table and the pictures of ``rows`` into ``folder``. An error of a picture is only a warning.

    Raises:
        UserError: the study of a search is damaged.
        MachineError: a file cannot be written.
    """
    if rows:
        table.write_table(folder, rows)
    if not finished(rows):
        return
    try:
        plots.write_curves(folder, rows)
        (search_plots.write_plots if _is_search(folder) else plots.write_comparisons)(folder, rows)
    except DrawingError as error:
        print(f"warning: a picture of the sweep was not drawn: {error}", file=sys.stderr, flush=True)


def list_outputs(folder: Path) -> str:
    """The paths of the table and the pictures in ``folder``, one per line."""
    pictures = sorted(path for pattern in PICTURES for path in folder.glob(pattern))
    return "\n".join([f"table: {folder / table.CSV}", *(f"picture: {path}" for path in pictures)])


def _is_search(folder: Path) -> bool:
    return (folder / STUDY).is_file()
