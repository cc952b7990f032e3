"""Builds a network from the layer list of its config, and knows the shape and size of every layer.

A network is a plain ``torch.nn.Sequential``: its input is ``(N, 1, 28, 28)`` float32, its output ``(N, 10)`` logits.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mnist_lite.config.entry import Entry, parse_entry
from mnist_lite.errors import UserError
from mnist_lite.model.layers import VOCABULARY, Shape, make

INPUT_SHAPE: Shape = (1, 28, 28)
CLASSES = 10
MAX_LAYERS = 1_000
MAX_VALUES = 10**9
"""In the parameters of a layer, or in its output for one image: 4 GB in float32. More is a slip of the finger."""


@dataclass(frozen=True)
class Layer:
    """One row of the layer table."""

    number: int
    """Counted from 1, as in published tables."""
    text: str
    """How YAML says it."""
    block: str
    """Names and turns of the repeats it stands in, such as ``body.2``; empty outside of any."""
    kind: str
    """The torch class, such as ``Conv2d``."""
    output: Shape
    """``(C, H, W)``, or ``(C,)`` after flatten."""
    parameters: int
    """Trainable parameters."""
    multiply_adds: int
    """Multiplications of convolutions and linear layers for one image."""
    receptive_field: int
    """Side, in input pixels, of what one output value can see; capped by nothing, so padding counts."""
    jump: int
    """Distance, in input pixels, between neighbouring output values."""


@dataclass(frozen=True)
class Network:
    """A built network and its layer table."""

    module: nn.Sequential
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Trainable parameters in all."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def fully_connected(self) -> bool:
        """Whether there is a linear layer."""
        return any(layer.kind == "Linear" for layer in self.layers)


def build(model: dict[str, Any], init: str = "torch") -> Network:
    """The network that ``model["layers"]`` describes, initialised from torch's global random state.

    Raises:
        UserError: an entry that is not in the vocabulary, or a layer that does not fit the map before it.
    """
    shape, rows, modules = INPUT_SHAPE, list[Layer](), list[nn.Module]()
    field, jump = 1, 1
    for entry, block in unroll(model["layers"], "model.layers"):
        number = len(rows) + 1
        if number > MAX_LAYERS:
            raise UserError(f"model.layers: more than {MAX_LAYERS} layers")
        where = f"model.layers: layer {number} ({entry})"
        module, output = _fit(entry, shape, where)
        if getattr(module, "kernel_size", None) is not None:
            kernel, stride, dilation = (
                _side(getattr(module, name, 1)) for name in ("kernel_size", "stride", "dilation")
            )
            field, jump = field + (kernel - 1) * dilation * jump, jump * stride
        elif entry.word in ("global_avg_pool", "flatten") and len(shape) == 3:
            field += (max(shape[1:]) - 1) * jump
        parameters = sum(p.numel() for p in module.parameters())
        modules.append(module)
        rows.append(
            Layer(
                number, str(entry), block, type(module).__name__, output, parameters, _work(module, output), field, jump
            )
        )
        shape = output
    _check_output(rows)
    if len(shape) == 3:
        modules.append(nn.Flatten())
    network = Network(nn.Sequential(*modules), tuple(rows))
    initialise(network.module, init)
    return network


def initialise(module: nn.Module, init: str) -> None:
    """Redraws the weights of convolutions and linear layers.

    ``torch`` leaves them as torch makes them. ``kaiming`` is He et al. (2015), normal, fan-in. ``orthogonal`` is Saxe et al.
    (2014) with ReLU's gain of sqrt(2), each filter turned so that its weights sum to no less than zero. Both set biases to zero.

    The turning is for networks such as step3 that end in a ReLU: what comes in is positive there, so a filter of negative sum
    gives nothing but zeros and its digit is lost from the first step (measured: 2 of 10 digits at seed 0, none when turned).
    """
    if init == "torch":
        return
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            if init == "orthogonal":
                nn.init.orthogonal_(layer.weight, nn.init.calculate_gain("relu"))
                with torch.no_grad():
                    layer.weight[layer.weight.flatten(1).sum(1) < 0] *= -1
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def unroll(items: Any, where: str, block: str = "") -> Iterator[tuple[Entry, str]]:
    """The entries of a layer list in order, repeats written out, each with the label of the repeat that holds it.

    Raises:
        UserError: an entry that is not in the vocabulary, or a repeat that is malformed.
    """
    if not isinstance(items, list) or not items:
        raise UserError(f"{where}: a list of layers is expected")
    for index, item in enumerate(items, 1):
        here = f"{where}: entry {index}"
        if isinstance(item, dict) and "repeat" in item:
            times, name = item["repeat"], item.get("name", "repeat")
            unknown = set(item) - {"repeat", "name", "layers"}
            if unknown or type(times) is not int or not 1 <= times <= MAX_LAYERS or not isinstance(name, str):
                raise UserError(
                    f"{here}: a repeat is {{repeat: <1 to {MAX_LAYERS}>, name: <word>, layers: [...]}}, got {_short(item)}"
                )
            for turn in range(1, times + 1):
                label = f"{block}/{name}.{turn}" if block else f"{name}.{turn}"
                yield from unroll(item.get("layers"), f"{here}.layers", label)
        else:
            yield parse_entry(item, VOCABULARY, here, supplied=("shape",), others=("repeat",)), block


def _fit(entry: Entry, shape: Shape, where: str) -> tuple[nn.Module, Shape]:
    """The module and what it makes of an input of ``shape``; found out on torch's meta device, which computes nothing."""
    try:
        with torch.no_grad(), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = make(entry.word, shape, entry.arguments)
            output = tuple(trial.eval()(torch.empty(2, *shape)).shape[1:])
    except (ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise UserError(f"{where} does not fit its input {_text(shape)}: {str(error).splitlines()[0]}") from error
    if math.prod(output) == 0:
        raise UserError(f"{where} leaves nothing of its input {_text(shape)}: the output would be {_text(output)}")
    size = max(math.prod(output), sum(p.numel() for p in trial.parameters()))
    if size > MAX_VALUES:
        raise UserError(f"{where} is too large: {size:,} numbers in its parameters or its output {_text(output)}")
    return make(entry.word, shape, entry.arguments), output


def _check_output(rows: list[Layer]) -> None:
    if not rows:
        raise UserError("model.layers: no layers")
    last = rows[-1]
    if last.output not in ((CLASSES,), (CLASSES, 1, 1)):
        hint = "; add global_avg_pool" if last.output[0] == CLASSES else ""
        raise UserError(
            f"model.layers: layer {last.number} ({last.text}) is the last and gives {_text(last.output)}; "
            f"a network must end with {CLASSES} outputs, ({CLASSES}, 1, 1) or ({CLASSES},){hint}"
        )


def _work(module: nn.Module, output: Shape) -> int:
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return module.weight.numel() * math.prod(output[1:])
    return 0


def _side(value: Any) -> int:
    return int(max(value)) if isinstance(value, tuple) else int(value)


def _text(shape: Shape) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"


def _short(item: Any) -> str:
    text = str(item)
    return text if len(text) <= 60 else text[:57] + "..."
