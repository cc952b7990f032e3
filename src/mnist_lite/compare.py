"""``mnist-lite compare <folder>``: prints the table of a sweep and draws its plots."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command. It takes no config: the folder says what was run."""
    begin()
    import sys

    from mnist_lite.cli.help_text import argument_parser
    from mnist_lite.config.overrides import user_path
    from mnist_lite.errors import exit_code_of
    from mnist_lite.sweeps.compare import compare

    parser = argument_parser("compare")
    parser.add_argument("folder", help="the folder of the sweep: runs/sweeps/<name>")
    parser.add_argument(
        "verify",
        nargs="?",
        choices=["verify=true", "verify=false"],
        default="verify=false",
        help="verify=true: check the summary of every run against its metrics, not only of the runs that decide the table",
    )
    arguments = parser.parse_args()
    sys.exit(exit_code_of(lambda: compare(user_path("compare", arguments.folder), arguments.verify == "verify=true")))


if __name__ == "__main__":
    main()
