"""``mnist-lite summary``: prints the layers of a model and the verdict on its budget, or the layers of trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_lite.process.startup import begin

if TYPE_CHECKING:
    from mnist_lite.config.schema import SummaryConfig


def job(config: SummaryConfig) -> int:
    """Prints the layers of ``config.model``. Returns the exit code."""
    from mnist_lite.cli.model_summary import print_model  # imports torch, which takes seconds

    return print_model(config)


def main() -> None:
    """Runs the command."""
    begin()
    import sys

    if len(sys.argv) > 1 and "=" not in sys.argv[1] and not sys.argv[1].startswith("-"):
        from mnist_lite.errors import exit_code_of

        sys.exit(exit_code_of(_trained))
    from mnist_lite.cli.app import run_command
    from mnist_lite.config.schema import SummaryConfig

    run_command("summary", SummaryConfig, job)


def _trained() -> int:
    """Prints the layers of the runs that the arguments name."""
    import sys

    from mnist_lite.cli.run_arguments import Option, parse_arguments

    options = {
        "format": Option("table", "how to print the layers", ("table", "json", "torchsummary")),
        "picture": Option("", "a PNG file to write: the receptive field of each layer over a digit"),
    }
    names = "a run folder, a sweep, a pattern, latest, or zoo:<name>"
    arguments = parse_arguments("summary", sys.argv[1:], names, options)
    from mnist_lite.cli.model_summary import print_runs  # imports torch, which takes seconds
    from mnist_lite.insight.locate import find_runs

    return print_runs(find_runs(arguments.names), arguments.options["format"], arguments.options["picture"])


if __name__ == "__main__":
    main()
