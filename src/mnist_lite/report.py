"""``mnist-lite report RUN... | SWEEP``: one HTML file that shows a run, a comparison or a sweep, without a server."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command. It takes no config: the folders say what was run."""
    begin()
    import sys

    from mnist_lite.cli.run_arguments import Option, parse_arguments
    from mnist_lite.errors import exit_code_of

    options = {"output": Option("", "the HTML file; empty: <name of the run or the sweep>.html, in this folder")}

    def work() -> int:
        arguments = parse_arguments(
            "report", sys.argv[1:], "run folders, sweeps, patterns, latest or zoo:<name>", options
        )
        from mnist_lite.insight.report import write_report  # imports torch, which takes seconds

        return write_report(arguments.names, arguments.options["output"])

    sys.exit(exit_code_of(work))


if __name__ == "__main__":
    main()
