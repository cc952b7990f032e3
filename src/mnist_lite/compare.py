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
        arguments = parse_arguments("compare", sys.argv[1:], "run folders, sweeps, patterns or latest", options)
        names, output, verify = arguments.names, arguments.options["output"], arguments.options["verify"] == "true"
        from mnist_lite.insight.locate import find_runs, is_run

        folder = user_path("compare", names[0])
        if len(names) == 1 and not output and folder.is_dir() and not is_run(folder):
            from mnist_lite.sweeps.compare import compare

            return compare(folder, verify)
        from mnist_lite.insight.comparison_report import report

        return report(find_runs(names), user_path("output", output) if output else None, verify)

    sys.exit(exit_code_of(work))


if __name__ == "__main__":
    main()
