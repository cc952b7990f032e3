"""Prints a network: our layer table, the same as JSON, and torchsummary's table for comparison with published ones."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from dataclasses import asdict

import torch
import torchsummary

from mnist_lite.model.budget import Verdict
from mnist_lite.model.build import INPUT_SHAPE, Network
from mnist_lite.reporting import text_layout


def as_text(network: Network, width: int | None = None) -> str:
    """The layer table, with totals.

    In less than the ``width`` that it needs, the jump, the receptive field and the multiply-adds of the layers are left out
    first.
    """
    head = ("#", "layer", "output", "parameters", "multiply-adds", "receptive field", "jump")
    rows = []
    for layer in network.layers:
        text = f"{layer.block}: {layer.text}" if layer.block else layer.text
        output = " x ".join(str(size) for size in layer.output)
        numbers = (
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
        )
        rows.append((str(layer.number), text, output, *numbers, str(layer.receptive_field), str(layer.jump)))
    lines = text_layout.table(head, rows, left={1, 2}, width=width, drop=(6, 5, 4))
    lines.append(next(line for line in lines if set(line) == {"-"}))
    lines.append(
        text_layout.wrapped(f"{network.parameters:,} parameters, {work(network):,} multiply-adds per image", width)
    )
    return "\n".join(lines)


def as_json(network: Network, verdict: Verdict) -> str:
    """The layer table for programs, with the verdict on the budget."""
    table = {
        "parameters": network.parameters,
        "multiply_adds": work(network),
        "fully_connected": network.fully_connected,
        "budget": verdict.as_dict(),
        "layers": [asdict(layer) for layer in network.layers],
    }
    return json.dumps(table, indent=2)


def as_torchsummary(network: Network) -> str:
    """What ``torchsummary.summary`` prints, made without its side effects.

    torchsummary runs the network as it finds it, on random input. Here it gets a copy in evaluation mode, under ``no_grad``
    and with the random state put back, so that neither BatchNorm's statistics nor the next draw of the caller move.
    """
    printed = io.StringIO()
    with torch.random.fork_rng(devices=[]), torch.no_grad(), contextlib.redirect_stdout(printed):
        torchsummary.summary(copy.deepcopy(network.module).cpu().eval(), INPUT_SHAPE, device="cpu")
    return printed.getvalue().rstrip("\n")


def work(network: Network) -> int:
    """Multiplications for one image."""
    return sum(layer.multiply_adds for layer in network.layers)
