"""The layer table of a network as text, as JSON, and as torchsummary prints it (to compare with published tables)."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from dataclasses import asdict
from typing import Any

import torch
import torchsummary

from mnist_lite.model.budget import Verdict
from mnist_lite.model.build import INPUT_SHAPE, Layer, Network
from mnist_lite.reporting import text_layout


def as_text(network: Network, width: int | None = None) -> str:
    """The layer table with totals. A narrow table has no bytes, then no jump, no receptive field, no multiply-adds."""
    heads = ("#", "layer", "output", "parameters", "multiply-adds", "receptive field", "jump", "bytes")
    rows = [
        (
            str(layer.number),
            f"{layer.block}: {layer.text}" if layer.block else layer.text,
            " x ".join(str(size) for size in layer.output),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            str(layer.receptive_field),
            str(layer.jump),
            f"{layer.output_bytes:,}",
        )
        for layer in network.layers
    ]
    lines = text_layout.table(heads, rows, left={1, 2}, width=width, drop=(7, 6, 5, 4))
    rule = next(line for line in lines if set(line) == {"-"})
    totals = (
        f"{network.parameters:,} parameters; per image {multiply_adds(network):,} multiply-adds, and "
        f"{output_bytes(network):,} bytes of outputs in float32"
    )
    return "\n".join([*lines, rule, text_layout.wrapped(totals, width)])


def as_json(network: Network, name: str, verdict: Verdict | None = None) -> str:
    """The layer table for other programs, with the result of the budget check if there is one."""
    table = {
        "name": name,
        "parameters": network.parameters,
        "multiply_adds": multiply_adds(network),
        "output_bytes": output_bytes(network),
        "fully_connected": network.fully_connected,
        **({} if verdict is None else {"budget": verdict.as_dict()}),
        "layers": [_as_dict(layer) for layer in network.layers],
    }
    return json.dumps(table, indent=2)


def as_torchsummary(network: Network) -> str:
    """What ``torchsummary.summary`` prints, without its side effects.

    torchsummary runs the network on random input in its current mode. Here it gets a copy in evaluation mode, and the
    global random state is restored. Otherwise the statistics of BatchNorm and the next random number of the caller
    would change.
    """
    printed = io.StringIO()
    with torch.random.fork_rng(devices=[]), torch.no_grad(), contextlib.redirect_stdout(printed):
        torchsummary.summary(copy.deepcopy(network.module).cpu().eval(), INPUT_SHAPE, device="cpu")
    return printed.getvalue().rstrip("\n")


def output_bytes(network: Network) -> int:
    """Memory of the outputs of all layers for one image in float32."""
    return sum(layer.output_bytes for layer in network.layers)


def _as_dict(layer: Layer) -> dict[str, Any]:
    """``field_of_middle`` has the first and the last row of the image that the middle value of the map depends on."""
    values = {**asdict(layer), "output_bytes": layer.output_bytes, "field_of_middle": layer.rows_of_image(layer.middle)}
    del values["reach"]
    return values


def multiply_adds(network: Network) -> int:
    """Multiplications in convolutions and linear layers for one image."""
    return sum(layer.multiply_adds for layer in network.layers)
