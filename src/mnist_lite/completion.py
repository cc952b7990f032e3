"""``mnist-lite completion <shell>``: prints a script that completes commands with the TAB key."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command. ``query`` in place of a shell completes a line: the scripts use it."""
    begin()
    import sys
    from argparse import SUPPRESS

    from mnist_lite.cli.completion import SCRIPTS, print_candidates
    from mnist_lite.cli.help_text import argument_parser
    from mnist_lite.errors import UserError, did_you_mean

    parser = argument_parser("completion")
    parser.add_argument("shell", help=" | ".join(SCRIPTS))
    parser.add_argument("line", nargs="?", default="", help=SUPPRESS)  # with query: the command line up to the cursor
    arguments = parser.parse_args()
    if arguments.shell == "query":
        print_candidates(arguments.line)
    elif arguments.shell in SCRIPTS:
        print(SCRIPTS[arguments.shell], end="")
    else:
        print(f"error: unknown shell {arguments.shell!r}; {did_you_mean(arguments.shell, SCRIPTS)}", file=sys.stderr)
        sys.exit(UserError.exit_code)


if __name__ == "__main__":
    main()
