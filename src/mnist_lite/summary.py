"""``python -m mnist_lite.summary``: prints the layer table of a model without training it."""

from __future__ import annotations

import sys

from mnist_lite.cli import run_command
from mnist_lite.fit import width_of
from mnist_lite.schema import SummaryConfig


def job(config: SummaryConfig) -> int:
    """Prints the table of ``config.model`` in ``config.format``."""
    from mnist_lite import table  # imports torch, which takes seconds
    from mnist_lite.model import build

    printers = {
        "table": lambda network: table.as_text(network, width_of(sys.stdout)),
        "json": table.as_json,
        "torchsummary": table.as_torchsummary,
    }
    print(printers[config.format](build(config.model)))
    return 0


def main() -> None:
    """The command."""
    run_command("summary", SummaryConfig, job)


if __name__ == "__main__":
    main()
