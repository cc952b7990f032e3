"""What ``mnist-lite summary`` prints: the layers of a model, and the verdict on its budget."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mnist_lite.config.schema import SummaryConfig
from mnist_lite.insight.saved_run import load_run
from mnist_lite.insight.zoo import name_of
from mnist_lite.model import budget
from mnist_lite.model.build import build
from mnist_lite.reporting import layer_table, text_layout


def print_model(config: SummaryConfig) -> int:
    """Prints the layers of ``config.model`` as ``config.format`` says. Returns the exit code.

    The verdict is on what is known without training: parameters, epochs and fully connected layers. With ``budget.enforce`` the
    exit code is 1 if one of these requirements is missed.
    """
    network, width = build(config.model), text_layout.width_of(sys.stdout)
    verdict = budget.before_training(config.budget, network.parameters, network.fully_connected, config.epochs)
    if config.format == "json":
        print(layer_table.as_json(network, verdict))
    else:
        print(layer_table.as_text(network, width) if config.format == "table" else layer_table.as_torchsummary(network))
        for check in verdict.checks:
            print(text_layout.wrapped(f"budget {check}", width))
    return 1 if config.budget.enforce and not verdict.passes else 0


def print_runs(folders: Sequence[Path], kind: str) -> int:
    """Prints the layers of the trained networks in ``folders``, as ``table`` or ``torchsummary``. Returns the exit code.

    Raises:
        UserError: a run cannot be used.
    """
    width = text_layout.width_of(sys.stdout)
    for folder in folders:
        network = load_run(folder).network
        table = layer_table.as_text(network, width) if kind == "table" else layer_table.as_torchsummary(network)
        print(f"{name_of(folder)}\n\n{table}")
    return 0
