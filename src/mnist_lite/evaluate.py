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
        "budget": Option("", "grades the runs by this budget: a YAML file, or '{parameters: 8000, accuracy: 99.4}'"),
        "output": Option("", "a folder for the files; empty: evaluation/<name of the run>"),
        "image": Option("0", "the number of the test image whose feature maps are drawn"),
    }

    def work() -> int:
        arguments = parse_arguments(
            "evaluate", sys.argv[1:], "run folders, sweeps, patterns, latest or zoo:<name>", options
        )
        budget, output, image = (arguments.options[key] for key in ("budget", "output", "image"))
        if budget:
            from mnist_lite.insight.grading import grade_runs  # imports torch, which takes seconds

            return grade_runs(arguments.names, budget, output)
        from mnist_lite.insight.evaluate_runs import evaluate_runs

        return evaluate_runs(arguments.names, output, image)

    sys.exit(exit_code_of(work))


if __name__ == "__main__":
    main()
