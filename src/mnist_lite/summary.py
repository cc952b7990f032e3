"""``mnist-lite summary``: prints the layers of a model and checks its budget, or the layers of trained networks."""

from __future__ import annotations

import sys
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
    if sys.argv[1:] and "=" not in sys.argv[1] and not sys.argv[1].startswith("-"):  # the name of a run
        from mnist_lite.cli.model_summary import print_runs
        from mnist_lite.errors import exit_code_of

        sys.exit(exit_code_of(lambda: print_runs(sys.argv[1:])))
    from mnist_lite.cli.app import run_command
    from mnist_lite.config.schema import SummaryConfig

    run_command("summary", SummaryConfig, job)


if __name__ == "__main__":
    main()
