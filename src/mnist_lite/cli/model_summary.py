"""What ``mnist-lite summary`` prints: the layers of a model, and the verdict on its budget."""

from __future__ import annotations

import sys
from pathlib import Path

from mnist_lite import rng
from mnist_lite.config.schema import SummaryConfig
from mnist_lite.model import budget
from mnist_lite.model.build import build
from mnist_lite.reporting import layer_table, text_layout


def print_model(config: SummaryConfig) -> int:
    """Prints the layers of ``config.model`` as ``config.format`` says. Returns the exit code.

    The verdict is on what is known without training: parameters, epochs and fully connected layers. With ``budget.enforce`` the
    exit code is 1 if one of these requirements is missed. ``config.picture`` is written first.

    Raises:
        UserError: the layers are not valid, or the picture cannot be made of this data or run.
        RunError: the picture cannot be drawn or written.
    """
    width = text_layout.width_of(sys.stdout)
    if config.picture is None:
        network = build(config.model)
    else:
        from mnist_lite.insight.receptive_fields import write_picture  # it reads data, which the table does not need

        rng.seed_global(config.seed, "init")  # the weights at the start of a run
        network = build(config.model, config.init)
        write_picture(config, network, Path(config.picture).expanduser())
    verdict = budget.before_training(config.budget, network.parameters, network.fully_connected, config.epochs)
    if config.format == "json":
        print(layer_table.as_json(network, verdict))
    else:
        print(layer_table.as_text(network, width) if config.format == "table" else layer_table.as_torchsummary(network))
        for check in verdict.checks:
            print(text_layout.wrapped(f"budget {check}", width))
        if config.picture is not None:
            print(f"receptive fields: {config.picture}")
    return 1 if config.budget.enforce and not verdict.passes else 0
