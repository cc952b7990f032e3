"""``mnist-lite <command>``: runs the module of the command, for example ``mnist_lite.train``."""

from __future__ import annotations

import sys

from mnist_lite.process.startup import begin


def main() -> None:
    """Runs the command that the first argument names."""
    begin()
    from mnist_lite.cli.dispatch import command_name, run

    run(command_name(sys.argv[1:]), sys.argv[2:])


if __name__ == "__main__":
    main()
