"""``mnist-lite export RUN format=onnx``: exports trained networks for other programs."""

from __future__ import annotations

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command. It takes no config."""
    begin()
    import sys

    from mnist_lite.errors import exit_code_of

    sys.exit(exit_code_of(_export))


def _export() -> int:
    import sys

    from mnist_lite.cli.run_arguments import Option, parse_arguments

    options = {
        "format": Option("onnx", "the format of the file", ("onnx", "safetensors", "pt2")),
        "output": Option("", "the file; empty: the name of the run, in this folder"),
    }
    names = "a run folder, a sweep, a pattern, latest, or zoo:<name>"
    arguments = parse_arguments("export", sys.argv[1:], names, options)
    from mnist_lite.insight.export import export_all  # imports torch, which takes seconds
    from mnist_lite.insight.locate import find_runs

    return export_all(find_runs(arguments.names), arguments.options["format"], arguments.options["output"])


if __name__ == "__main__":
    main()
