"""``python -m mnist_lite.compare <folder>``: the table and the plots of a sweep, as it stands."""

from __future__ import annotations

from mnist_lite.start import begin


def main() -> None:
    """The command. It takes no config, only the folder: what was run is written there."""
    begin()
    import sys
    from argparse import ArgumentParser
    from pathlib import Path

    from mnist_lite.errors import RunError, UserError
    from mnist_lite.sweep.conduct import conclude
    from mnist_lite.sweep.plan import PLAN

    parser = ArgumentParser("mnist_lite.compare", description="The table and the plots of a sweep, as it stands.")
    parser.add_argument("folder", type=Path, help="of the sweep: runs/sweeps/<name>")
    folder = parser.parse_args().folder
    try:
        rows, text = conclude(folder)
        if not rows:
            raise UserError(f"compare: {folder} is not the folder of a sweep: it has no jobs in {PLAN}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(text)
    print(f"\nplots and sweep.csv: {folder}")


if __name__ == "__main__":
    main()
