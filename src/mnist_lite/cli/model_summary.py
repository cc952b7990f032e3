"""What ``mnist-lite summary`` prints: the layers of a model, and the result of its budget check."""

from __future__ import annotations

import sys
from functools import partial

from mnist_lite import rng
from mnist_lite.cli.run_arguments import Option, parse_arguments
from mnist_lite.config.schema import SummaryConfig
from mnist_lite.data.dataset import load
from mnist_lite.errors import UserError
from mnist_lite.insight.locate import find_runs
from mnist_lite.insight.predictions import load_data
from mnist_lite.insight.receptive_fields import write_picture
from mnist_lite.insight.saved_run import load_run
from mnist_lite.insight.zoo import name_of
from mnist_lite.model import budget
from mnist_lite.model.build import build
from mnist_lite.reporting import layer_table, text_layout
from mnist_lite.reporting.png import png_path

OF_RUNS = {
    "format": Option("table", "how to print the layers", ("table", "json", "torchsummary")),
    "picture": Option("", "a PNG file to write: the receptive field of each layer over a digit"),
}
"""The options of ``summary`` for trained networks."""


def print_model(config: SummaryConfig) -> int:
    """Prints the layers of ``config.model`` as ``config.format`` says. Returns the exit code.

    The check is on what is known without training: parameters, epochs and fully connected layers. With ``budget.enforce`` the
    exit code is 1 if one of these requirements is missed. ``config.picture`` is written first.

    Raises:
        UserError: the layers are not valid, or the picture cannot be made of this data or run.
        RunError: the picture cannot be drawn or written.
    """
    width = text_layout.width_of(sys.stdout)
    if config.picture is not None:
        rng.seed_global(config.seed, "init")  # the weights at the start of a run
    network = build(config.model, config.init)
    if config.picture is not None:
        described = f"{config.name}, initial weights (init={config.init}, seed {config.seed})"
        write_picture(network, described, load(config.data), png_path("picture", config.picture))
    verdict = budget.before_training(config.budget, network.parameters, network.fully_connected, config.epochs)
    if config.format == "json":
        print(layer_table.as_json(network, config.name, verdict))
    else:
        print(layer_table.as_text(network, width) if config.format == "table" else layer_table.as_torchsummary(network))
        for check in verdict.checks:
            print(text_layout.wrapped(f"budget {check}", width))
        if config.picture is not None:
            print(f"receptive fields: {config.picture}")
    return 1 if config.budget.enforce and not verdict.passes else 0


def print_runs(arguments: list[str]) -> int:
    """Prints the layers of the trained networks that the command line ``arguments`` names. Returns the exit code.

    Raises:
        UserError: a run, the data or an option cannot be used.
        RunError: the picture cannot be drawn or written.
    """
    parsed = parse_arguments("summary", arguments, "a run folder, a sweep, a pattern, latest, or zoo:<name>", OF_RUNS)
    kind, picture = parsed.options["format"], parsed.options["picture"]
    folders, width = find_runs(parsed.names), text_layout.width_of(sys.stdout)
    if picture and len(folders) > 1:
        raise UserError(f"picture: it shows one run, but {len(folders)} are named")
    for folder in folders:
        run = load_run(folder)
        if picture:
            described = f"{run.name}, {run.weights}"
            write_picture(run.network, described, load_data(run), png_path("picture", picture))
        if kind == "json":
            print(layer_table.as_json(run.network, name_of(folder)))
        else:
            as_text = (
                layer_table.as_torchsummary if kind == "torchsummary" else partial(layer_table.as_text, width=width)
            )
            print(f"{name_of(folder)}\n\n{as_text(run.network)}")
        if picture and kind != "json":
            print(f"receptive fields: {picture}")
    return 0
