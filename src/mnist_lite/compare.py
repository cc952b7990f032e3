"""``python -m mnist_lite.compare <folder>``: the table and the plots of a sweep, as it stands."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """The command. It takes no config. The folder says what was run."""
    begin()
    import sys
    import textwrap
    from argparse import ArgumentParser, RawDescriptionHelpFormatter
    from pathlib import Path

    from mnist_lite.cli import help_text
    from mnist_lite.config.error_messages import exit_code_of
    from mnist_lite.sweeps.compare import compare

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
    sys.exit(exit_code_of(lambda: compare(arguments.folder, arguments.verify == "verify=true")))


if __name__ == "__main__":
    main()
