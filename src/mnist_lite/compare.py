"""``python -m mnist_lite.compare <folder>``: the table and the plots of a sweep, as it stands."""

from __future__ import annotations

from mnist_lite.start import begin


def main() -> None:
    """The command. It takes no config. The folder says what was run."""
    begin()
    import sys
    from argparse import ArgumentParser
    from pathlib import Path

    from mnist_lite.complaints import guarded
    from mnist_lite.sweep.compare import compare

    parser = ArgumentParser("mnist_lite.compare", description="The table and the plots of a sweep, as it stands.")
    parser.add_argument("folder", type=Path, help="of the sweep: runs/sweeps/<name>")
    parser.add_argument(
        "verify",
        nargs="?",
        choices=["verify=true", "verify=false"],
        default="verify=false",
        help="verify=true: check the summary of every run against its metrics, not only of those that matter for the table",
    )
    arguments = parser.parse_args()
    sys.exit(guarded(lambda: compare(arguments.folder, arguments.verify == "verify=true")))


if __name__ == "__main__":
    main()
