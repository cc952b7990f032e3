"""``mnist-lite runs [<folder>]``: lists run folders, newest first."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command."""
    begin()
    import sys

    from mnist_lite.cli.run_arguments import Option, parse_arguments
    from mnist_lite.errors import exit_code_of

    def work() -> int:
        options = {"count": Option("50", "the largest number of runs that are shown")}
        arguments = parse_arguments("runs", sys.argv[1:], "the folder of the run folders; default: runs", options, 0)
        from mnist_lite.insight.run_list import print_runs

        return print_runs(arguments.names, arguments.options["count"])

    sys.exit(exit_code_of(work))


if __name__ == "__main__":
    main()
