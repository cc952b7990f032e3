"""Builds a network from the layer list of its config, and computes the rows of the layer table.

A network is a ``torch.nn.Sequential``. Its input is ``(N, 1, 28, 28)`` float32, its output is ``(N, 10)`` logits.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import torch
from torch import nn

from mnist_lite.data.split import CLASSES
from mnist_lite.errors import UserError
from mnist_lite.model.init import initialise
from mnist_lite.model.layer_list import LayerNode, parse_layers
from mnist_lite.model.layers import Residual, Shape, make_layer, output_shape

INPUT_SHAPE: Shape = (1, 28, 28)
MAX_VALUES = 10**9
"""The limit for the parameters of a layer and for its output for one image: 4 GB in float32."""


class FeatureMap(NamedTuple):
    """What a layer gives for one image."""

    shape: Shape
    """``(C, H, W)``, or ``(C,)`` after ``flatten``."""
    receptive_field: int
    """Side, in input pixels, of the square that one value depends on. Padding counts, so it can be above 28."""
    jump: int
    """Distance, in input pixels, between neighbouring values."""
    reach: tuple[int, ...]
    """For each row of the map, the rows of the image that its values depend on: bit ``r`` is set for row ``r``. Padding is no
    row of the image. Kernels, maps and the image are squares, so columns are as rows."""


INPUT = FeatureMap(INPUT_SHAPE, 1, 1, tuple(1 << row for row in range(INPUT_SHAPE[1])))


@dataclass(frozen=True)
class Layer:
    """One row of the layer table."""

    number: int
    """Counted from 1, as in published tables."""
    text: str
    """The layer as in YAML, such as ``conv 12 kernel=3``. The last rows of a residual block are ``projection`` (if needed)
    and ``add``. ``(weights of 5)`` stands after a layer that shares the weights of layer 5."""
    block: str
    """The names of the blocks around the layer, such as ``body.2``; empty outside of any block."""
    kind: str
    """The torch class, such as ``Conv2d``."""
    output: Shape
    parameters: int
    """Trainable parameters. Shared ones count in the first layer that has them."""
    multiply_adds: int
    """Multiplications of convolutions and linear layers for one image."""
    receptive_field: int
    jump: int
    reach: tuple[int, ...]

    @property
    def output_bytes(self) -> int:
        """Memory of the output for one image in float32. Training keeps most outputs until the backward pass."""
        return 4 * math.prod(self.output)

    @property
    def middle(self) -> int:
        """The row, and the column, of the value in the middle of the map."""
        return len(self.reach) // 2

    def rows_of_image(self, row: int) -> tuple[int, int]:
        """The first and the last row of the image that the values in ``row`` of the map depend on. Columns are as rows.

        (-1, -1) if they depend on padding only.

        The norms ``layer_norm``, ``group_norm`` and ``instance_norm`` are not counted: through their means, each value depends
        a little on the whole map.
        """
        mask = self.reach[row]
        return (mask & -mask).bit_length() - 1, mask.bit_length() - 1


@dataclass(frozen=True)
class Network:
    """A built network and its layer table."""

    module: nn.Sequential
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def fully_connected(self) -> bool:
        """True if there is a linear layer."""
        return any(layer.kind == "Linear" for layer in self.layers)


def build(model: dict[str, Any], init: str = "torch") -> Network:
    """The network of ``model["layers"]``. The initial weights are drawn from torch's global random state.

    Raises:
        UserError: an entry that is not in the vocabulary, or a layer that does not fit its input.
    """
    builder = _Builder()
    module, output = builder.sequence(parse_layers(model["layers"]), INPUT)
    last = builder.rows[-1]
    if output.shape not in ((CLASSES,), (CLASSES, 1, 1)):
        hint = "; add global_avg_pool" if output.shape[0] == CLASSES else ""
        raise UserError(
            f"model.layers: layer {last.number} ({last.text}) is the last and gives {_text(output.shape)}; "
            f"a network must end with {CLASSES} outputs, ({CLASSES}, 1, 1) or ({CLASSES},){hint}"
        )
    if len(output.shape) == 3:
        module.append(nn.Flatten())
    initialise(module, init)
    return Network(module, tuple(builder.rows))


class _Builder:
    """Makes modules one by one and collects their rows."""

    def __init__(self) -> None:
        self.rows: list[Layer] = []
        self._made: dict[LayerNode, tuple[nn.Module, int]] = {}  # with the numbers of their rows
        self._counted: set[nn.Parameter] = set()

    def sequence(self, nodes: tuple[LayerNode, ...], x: FeatureMap) -> tuple[nn.Sequential, FeatureMap]:
        """The modules of ``nodes``, one after the other, for the input ``x``; and their output."""
        modules: list[nn.Module] = []
        for node in nodes:
            module, x = self.residual(node, x) if node.body else self.layer(node, x)
            modules.append(module)
        return nn.Sequential(*modules), x

    def layer(self, node: LayerNode, x: FeatureMap) -> tuple[nn.Module, FeatureMap]:
        entry, where = node.entry, f"model.layers: layer {len(self.rows) + 1} ({node.entry})"
        output = _output_shape(entry.word, x.shape, entry.arguments, where)
        module = make_layer(entry.word, x.shape, entry.arguments)
        text = str(entry) + self.share_weights(node, module, where)
        field, jump, reach = x.receptive_field, x.jump, x.reach
        if hasattr(module, "kernel_size"):  # a convolution or a pool
            kernel, stride, dilation, padding = (
                _side(getattr(module, name, default))
                for name, default in (("kernel_size", 1), ("stride", 1), ("dilation", 1), ("padding", 0))
            )
            field, jump = field + (kernel - 1) * dilation * jump, jump * stride
            starts = range(-padding, output[1] * stride - padding, stride)
            windows = (range(start, start + kernel * dilation, dilation) for start in starts)
            reach = tuple(_union(reach[i] for i in window if 0 <= i < len(reach)) for window in windows)
        elif entry.word in ("global_avg_pool", "flatten") and len(x.shape) == 3:
            field, reach = field + (max(x.shape[1:]) - 1) * jump, (_union(reach),)
        return module, self.add_row(text, node.block, module, FeatureMap(output, field, jump, reach))

    def residual(self, node: LayerNode, x: FeatureMap) -> tuple[nn.Module, FeatureMap]:
        """A residual block.

        The shortcut has the same total stride as the body. So the two values that are added belong to the same place in
        the image.
        """
        body, y = self.sequence(node.body, x)
        where, projection = f"model.layers: layer {len(self.rows) + 1} ({node.entry.word})", None
        arguments = {"out": y.shape[0], "kernel": 1, "stride": y.jump // x.jump}
        shortcut = _output_shape("conv", x.shape, arguments, where) if len(x.shape) == 3 else x.shape
        if y.shape != shortcut:
            hint = f" at stride {arguments['stride']}; change the padding" if len(y.shape) == 3 else ""
            raise UserError(
                f"{where}: its layers give {_text(y.shape)}, but its shortcut gives {_text(shortcut)}{hint}"
            )
        passed = x.reach[:: arguments["stride"]]  # by the shortcut
        if y.shape != x.shape:
            projection = make_layer("conv", x.shape, arguments)
            text = f"projection {arguments['out']} stride={arguments['stride']}"
            text += self.share_weights(node, projection, where)
            self.add_row(text, node.block, projection, FeatureMap(shortcut, x.receptive_field, y.jump, passed))
        block = Residual(body, projection)
        both = tuple(a | b for a, b in zip(y.reach, passed, strict=True))
        return block, self.add_row("add", node.block, block, y._replace(reach=both))

    def share_weights(self, node: LayerNode, module: nn.Module, where: str) -> str:
        """Gives ``module`` the weights of the layer that ``node`` shares them with. Returns what the layer table says of it."""
        self._made[node] = module, len(self.rows) + 1
        if node.shares is None or not isinstance(module, (nn.Conv2d, nn.Linear)):
            return ""
        first, number = self._made[node.shares]
        assert isinstance(first, (nn.Conv2d, nn.Linear))
        if module.weight.shape != first.weight.shape:
            raise UserError(
                f"{where} cannot share the weights of layer {number}: they are {_text(tuple(first.weight.shape))}, "
                f"and with its input it needs {_text(tuple(module.weight.shape))}"
            )
        module.weight, module.bias = first.weight, first.bias
        return f" (weights of {number})"

    def add_row(self, text: str, block: str, module: nn.Module, output: FeatureMap) -> FeatureMap:
        """Appends the row of ``module``. Returns ``output``."""
        own = set(module.parameters(recurse=False)) - self._counted
        self._counted |= own
        multiply_adds = 0
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            multiply_adds = module.weight.numel() * math.prod(output.shape[1:])
        number, kind = len(self.rows) + 1, type(module).__name__
        self.rows.append(
            Layer(
                number,
                text,
                block,
                kind,
                output.shape,
                sum(p.numel() for p in own),
                multiply_adds,
                output.receptive_field,
                output.jump,
                output.reach,
            )
        )
        return output


def _output_shape(word: str, shape: Shape, arguments: dict[str, Any], where: str) -> Shape:
    """The output shape of a layer that is allowed. The layer is made on torch's meta device, which takes no memory."""
    trial = None
    try:
        with torch.no_grad(), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = make_layer(word, shape, arguments)
            output = output_shape(trial, shape)
    except (ValueError, RuntimeError, TypeError, OverflowError) as error:
        if trial is None and isinstance(error, ValueError):  # an argument that is wrong for every input
            raise UserError(f"{where} is not allowed: {str(error).splitlines()[0]}") from error
        raise UserError(f"{where} does not fit its input {_text(shape)}: {str(error).splitlines()[0]}") from error
    if math.prod(output) == 0:
        raise UserError(f"{where} leaves nothing of its input {_text(shape)}: the output would be {_text(output)}")
    size = max(math.prod(output), sum(p.numel() for p in trial.parameters()))
    if size > MAX_VALUES:
        raise UserError(f"{where} is too large: {size:,} numbers in its parameters or its output {_text(output)}")
    return output


def _union(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)


def _side(value: int | tuple[int, int]) -> int:
    return max(value) if isinstance(value, tuple) else value


def _text(shape: Shape) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
