"""``python -m mnist_lite.summary``: prints the layer table of a model without training it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_lite.start import begin

if TYPE_CHECKING:
    from mnist_lite.schema import SummaryConfig


def job(config: SummaryConfig) -> int:
    """Prints the table of ``config.model`` in ``config.format``."""
    from mnist_lite import table  # imports torch, which takes seconds
    from mnist_lite.model import build

    printers = {"table": table.as_text, "json": table.as_json, "torchsummary": table.as_torchsummary}
    print(printers[config.format](build(config.model)))
    return 0


def main() -> None:
    """The command."""
    begin()
    from mnist_lite.cli import run_command
    from mnist_lite.schema import SummaryConfig

    run_command("summary", SummaryConfig, job)


if __name__ == "__main__":
    main()
