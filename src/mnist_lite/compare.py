"""``mnist-lite compare RUN... | SWEEP``: the table and the pictures of a sweep, or of any mix of runs and sweeps."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command. It takes no config: the folders say what was run."""
    begin()
    import sys

    from mnist_lite.cli.run_arguments import Option, parse_arguments
    from mnist_lite.config.overrides import user_path
    from mnist_lite.errors import exit_code_of

    options = {
        "output": Option("", "a folder for the table (Markdown, CSV) and the pictures (PNG)"),
        "verify": Option("false", "true: check all summaries, not only those that decide", ("true", "false")),
    }

    def work() -> int:
        arguments = parse_arguments(
            "compare", sys.argv[1:], "run folders, sweeps, patterns, latest or zoo:<name>", options
        )
        output, verify = arguments.options["output"], arguments.options["verify"] == "true"
        from mnist_lite.insight.comparison_report import compare_names

        return compare_names(arguments.names, user_path("output", output) if output else None, verify)

    sys.exit(exit_code_of(work))


if __name__ == "__main__":
    main()
