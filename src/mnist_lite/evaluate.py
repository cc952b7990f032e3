"""``mnist-lite evaluate RUN...``: how good a network is, what it confuses, and what it looks at. Grades runs by a budget."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command. It takes no config of Hydra."""
    begin()
    import sys

    from mnist_lite.cli.run_arguments import Option, parse_arguments
    from mnist_lite.errors import exit_code_of

    options = {
        "output": Option("", "a folder for the files; empty: evaluation/<name of the run>"),
        "image": Option("0", "the number of the test image whose feature maps are drawn"),
    }

    def work() -> int:
        arguments = parse_arguments("evaluate", sys.argv[1:], "run folders, sweeps, patterns or latest", options)
        from mnist_lite.insight.evaluate_runs import evaluate_runs  # imports torch, which takes seconds

        return evaluate_runs(arguments.names, **arguments.options)

    sys.exit(exit_code_of(work))


if __name__ == "__main__":
    main()
