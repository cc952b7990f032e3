"""``python -m mnist_lite.summary``: prints the layer table of a model and the verdict on its budget, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_lite.process.startup import begin

if TYPE_CHECKING:
    from mnist_lite.config.schema import SummaryConfig


def job(config: SummaryConfig) -> int:
    """Prints the table of ``config.model`` in ``config.format``. Returns the exit code.

    The verdict is on what is known without training: parameters, epochs, and fully connected layers. With ``budget.enforce``
    the exit code is 1 if one of these is missed.
    """
    import sys

    from mnist_lite.model import budget  # imports torch, which takes seconds
    from mnist_lite.model.build import build
    from mnist_lite.reporting import (
        layer_table,  # imports torch, which takes seconds
        text_layout,  # imports torch, which takes seconds
    )

    network, width = build(config.model), text_layout.width_of(sys.stdout)
    verdict = budget.before_training(config.budget, network.parameters, network.fully_connected, config.epochs)
    if config.format == "json":
        print(layer_table.as_json(network, verdict))
    else:
        print(layer_table.as_text(network, width) if config.format == "table" else layer_table.as_torchsummary(network))
        for check in verdict.checks:
            print(text_layout.wrapped(f"budget {check}", width))
    return 1 if config.budget.enforce and not verdict.passes else 0


def main() -> None:
    """The command."""
    begin()
    from mnist_lite.cli.app import run_command
    from mnist_lite.config.schema import SummaryConfig

    run_command("summary", SummaryConfig, job)


if __name__ == "__main__":
    main()
