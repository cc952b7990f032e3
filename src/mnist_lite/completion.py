"""``mnist-lite completion <shell>``: prints a script that completes commands with the TAB key."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command."""
    begin()
    from mnist_lite.cli.completion import SCRIPTS, print_candidates
    from mnist_lite.cli.help_text import argument_parser

    parser = argument_parser("completion")
    parser.add_argument("shell", choices=[*SCRIPTS, "query"], help="query: complete a line. The scripts use this")
    parser.add_argument("line", nargs="?", default="", help="with query: the command line up to the cursor")
    arguments = parser.parse_args()
    if arguments.shell == "query":
        print_candidates(arguments.line)
    else:
        print(SCRIPTS[arguments.shell], end="")


if __name__ == "__main__":
    main()
