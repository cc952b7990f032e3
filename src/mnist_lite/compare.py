"""``python -m mnist_lite.compare <folder>``: the table and the plots of a sweep, as it stands."""

from __future__ import annotations

import sys
import textwrap
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mnist_lite import help_text
from mnist_lite.errors import RunError, UserError
from mnist_lite.sweep.conduct import conclude, whereabouts
from mnist_lite.sweep.plan import PLAN
from mnist_lite.sweep.verify import differences, to_verify


def compare(folder: Path, verify: bool) -> int:
    """Prints the table of the sweep in ``folder`` and writes its plots. Returns the exit code.

    The summaries of the runs are checked against their metrics: the runs that matter for the table, or with ``verify`` all.
    A difference is printed, and the exit code is 1.

    Raises:
        UserError: ``folder`` is not the folder of a sweep.
        RunError: the files cannot be written.
    """
    rows, text = conclude(folder)
    if not rows:
        raise UserError(f"compare: {folder} is not the folder of a sweep: it has no jobs in {PLAN}")
    print(text)
    print(f"\n{whereabouts(folder)}")
    checked = [row for row in rows if row.final is not None] if verify else to_verify(rows)
    found = [(row.folder, line) for row in checked if row.folder for line in differences(folder / row.folder)]
    for name, line in found:
        print(f"warning: {name}: {line}", file=sys.stderr)
    return 1 if found else 0


def main() -> None:
    """The command. It takes no config. The folder says what was run."""
    text = help_text.COMMANDS["compare"]
    parser = ArgumentParser(
        "python -m mnist_lite.compare",
        description=textwrap.fill(text.does, help_text.WIDTH),
        epilog=help_text.examples(text),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the folder of the sweep: runs/sweeps/<name>")
    parser.add_argument(
        "verify",
        nargs="?",
        choices=["verify=true", "verify=false"],
        default="verify=false",
        help="verify=true: check the summary of every run against its metrics, not only of those that matter for the table",
    )
    arguments = parser.parse_args()
    try:
        code = compare(arguments.folder, arguments.verify == "verify=true")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(code)


if __name__ == "__main__":
    main()
