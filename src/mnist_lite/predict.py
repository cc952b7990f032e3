"""``mnist-lite predict RUN image...``: classifies a person's own images."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command. It takes no config."""
    begin()
    import sys

    from mnist_lite.errors import exit_code_of

    sys.exit(exit_code_of(_predict))


def _predict() -> int:
    import sys

    from mnist_lite.cli.run_arguments import Option, parse_arguments

    names = "a run (a folder, a sweep, a pattern, latest or zoo:<name>), then image files; - is standard input"
    options = {"format": Option("text", "how to print the answers", ("text", "json"))}
    arguments = parse_arguments("predict", sys.argv[1:], names, options, minimum=2)
    from mnist_lite.insight.classify import classify  # imports torch, which takes seconds
    from mnist_lite.insight.locate import find_runs

    run, *images = arguments.names
    return classify(find_runs([run]), images, arguments.options["format"])


if __name__ == "__main__":
    main()
