"""What ``mnist-lite compare`` does with several runs: prints the comparison, writes its files, and checks the summaries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mnist_lite import files
from mnist_lite.config.overrides import user_path
from mnist_lite.errors import printable
from mnist_lite.insight.comparison import Comparison, compare_runs
from mnist_lite.insight.comparison_plots import draw_curves, draw_parameters
from mnist_lite.insight.comparison_text import as_csv, as_markdown, as_text
from mnist_lite.insight.locate import find_runs, is_run
from mnist_lite.reporting import text_layout
from mnist_lite.reporting.png import DrawingError
from mnist_lite.sweeps.compare import MAX_CHECKED, compare, differences

MARKDOWN, CSV = "comparison.md", "comparison.csv"
PICTURES: dict[str, Callable[[Comparison], bytes]] = {
    "comparison_curves.png": draw_curves,
    "comparison_parameters.png": draw_parameters,
}


def compare_names(names: Sequence[str], output: Path | None, verify: bool) -> int:
    """Compares what ``names`` stand for. One sweep has its own table and pictures. Returns the exit code."""
    folder = user_path("compare", names[0])
    if len(names) == 1 and output is None and folder.is_dir() and not is_run(folder):
        return compare(folder, verify)
    return report(find_runs(names), output, verify)


def report(paths: Sequence[Path], output: Path | None, verify: bool) -> int:
    """Compares the runs in the folders ``paths``, prints the result, and writes it to the folder ``output``.

    The summaries are compared with their metrics: all with ``verify``, else those of the 200 runs with the highest accuracy. A
    difference is printed as a warning. Returns the exit code: 1 if there is a difference, else 0.

    Raises:
        UserError: no run can be used, or a config is damaged.
        MachineError: ``output`` cannot be written.
    """
    comparison = compare_runs(paths)
    print(as_text(comparison, text_layout.width_of(sys.stdout)))
    if output is not None:
        try:
            write(comparison, output)
            print(f"\nwritten to {output}: {', '.join([MARKDOWN, CSV, *PICTURES])}")
        except DrawingError as error:
            print(f"warning: no pictures: {error}", file=sys.stderr)
    runs = [run for group in comparison.groups for run in group.runs]
    runs.sort(key=lambda run: -run.summary.accuracy.test.final)
    checked = runs if verify else runs[:MAX_CHECKED]
    problems = [f"{run.path}: {line}" for run in checked for line in differences(run.path)]
    for problem in problems:
        print(f"warning: {printable(problem)}", file=sys.stderr)
    return 1 if problems else 0


def write(comparison: Comparison, output: Path) -> None:
    """Writes the comparison as Markdown, CSV and PNG into the folder ``output``, which is created.

    Raises:
        MachineError: a file cannot be written.
        DrawingError: a picture cannot be drawn.
    """
    with files.machine_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    output = files.real_folder(output)
    files.write(output / MARKDOWN, as_markdown(comparison, list(PICTURES)).encode())
    files.write(output / CSV, as_csv(comparison).encode())
    for name, draw in PICTURES.items():
        files.write(output / name, draw(comparison))
