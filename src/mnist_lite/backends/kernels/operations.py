"""Writes a network down as the list of operations that the kernels in C++ carry out, or says why they cannot."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from torch import nn

from mnist_lite.data.split import CLASSES
from mnist_lite.model.layers import GlobalAvgPool2d, Shape

CONVOLUTION, POINTWISE, MAX_POOL, MEAN_POOL = range(4)
NOTHING, VALUES, MAPS = range(3)
NONE = -1


class UnsupportedError(Exception):
    """The kernels do not have this; the message names it."""


class Op(ctypes.Structure):
    """``Op`` of ``network.h``, field by field."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "channels", "height", "width")),
        *((name, ctypes.c_int32) for name in ("out_channels", "out_height", "out_width")),
        *((name, ctypes.c_int32) for name in ("kernel", "stride", "padding", "dilation", "groups")),
        *((name, ctypes.c_int32) for name in ("rectifies", "normalises", "drops")),
        *((name, ctypes.c_float) for name in ("slope", "p", "eps", "momentum")),
        *((name, ctypes.c_int32) for name in ("weight", "bias", "running_mean", "running_var", "batches")),
    )


@dataclass(frozen=True)
class Operations:
    """A network as operations."""

    ops: list[Op]
    tensors: list[str]
    """Names in the module's ``state_dict`` of the tensors that the operations number."""


def compile_operations(module: nn.Sequential, shape: Shape) -> Operations:
    """The operations of ``module`` for an input of ``shape`` ``(C, H, W)``.

    ReLU joins the convolution before it. Batch norm, ReLU and dropout that follow each other in this order become one
    operation, which goes over the values once.

    Raises:
        UnsupportedError: a layer or an argument that the kernels do not have.
    """
    writer = _Writer(shape)
    for name, layer in module.named_children():
        writer.add(name, layer)
    if not writer.ops or writer.out[0] != CLASSES:
        raise UnsupportedError(f"{writer.out[0]} outputs")
    return Operations(writer.ops, writer.tensors)


class _Writer:
    def __init__(self, shape: Shape) -> None:
        self.ops: list[Op] = []
        self.tensors: list[str] = []
        self.out = shape

    def add(self, name: str, layer: nn.Module) -> None:
        kind = type(layer)
        if isinstance(layer, nn.Conv2d):
            self._convolve(name, layer)
        elif isinstance(layer, nn.Linear):
            self._weigh(name, layer)
        elif kind in (nn.BatchNorm2d, nn.BatchNorm1d):
            assert isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm1d))
            self._normalise(name, layer)
        elif kind is nn.ReLU:
            self._rectify(0.0)
        elif isinstance(layer, nn.LeakyReLU) and layer.negative_slope >= 0:  # its gradient is told by the result's sign
            self._rectify(layer.negative_slope)
        elif kind in (nn.Dropout, nn.Dropout2d):
            assert isinstance(layer, (nn.Dropout, nn.Dropout2d))
            self._drop(layer.p, VALUES if kind is nn.Dropout else MAPS)
        elif isinstance(layer, nn.MaxPool2d) and layer.dilation == 1 and not layer.ceil_mode:
            self._pool(name, MAX_POOL, layer)
        elif isinstance(layer, nn.AvgPool2d):
            self._pool(name, MEAN_POOL, layer)
        elif kind is GlobalAvgPool2d and self.out[1] == self.out[2]:
            self._pool(name, MEAN_POOL, nn.AvgPool2d(self.out[1]))
        elif kind is nn.Flatten:
            self.out = (self.out[0] * self.out[1] * self.out[2], 1, 1)
        elif kind is not nn.Identity:
            raise UnsupportedError(f"layer {int(name) + 1} ({kind.__name__})")

    def _append(self, kind: int, out: Shape, **fields: float) -> Op:
        channels, height, width = self.out
        op = Op(kind, channels, height, width, *out, kernel=1, stride=1, dilation=1, groups=1)
        for field in ("weight", "bias", "running_mean", "running_var", "batches"):
            setattr(op, field, NONE)
        for field, value in fields.items():
            setattr(op, field, value)
        self.ops.append(op)
        self.out = out
        return op

    def _number(self, name: str, layer: nn.Module, *fields: str) -> dict[str, int]:
        numbers = {}
        for field in fields:
            if getattr(layer, field) is not None:
                numbers[field] = len(self.tensors)
                self.tensors.append(f"{name}.{field}")
        return numbers

    def _convolve(self, name: str, layer: nn.Conv2d) -> None:
        sides = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        if any(not isinstance(side, tuple) or side[0] != side[1] for side in sides) or layer.padding_mode != "zeros":
            raise UnsupportedError(f"layer {int(name) + 1} (a convolution that is not square, or its padding)")
        kernel, stride, padding, dilation = (int(side[0]) for side in sides)
        if padding > (kernel - 1) * dilation:
            raise UnsupportedError(f"layer {int(name) + 1} (padding that is wider than the kernel)")
        out = tuple((side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in self.out[1:])
        numbers = self._number(name, layer, "weight", "bias")
        geometry = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        self._append(CONVOLUTION, (layer.out_channels, *out), **geometry, groups=layer.groups, **numbers)

    def _weigh(self, name: str, layer: nn.Linear) -> None:
        self._append(CONVOLUTION, (layer.out_features, 1, 1), **self._number(name, layer, "weight", "bias"))

    def _normalise(self, name: str, layer: nn.BatchNorm2d | nn.BatchNorm1d) -> None:
        if layer.momentum is None or not layer.affine or not layer.track_running_stats:
            raise UnsupportedError(
                f"layer {int(name) + 1} (batch norm without momentum, weights or running statistics)"
            )
        numbers = self._number(name, layer, "weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        numbers["batches"] = numbers.pop("num_batches_tracked")
        self._append(POINTWISE, self.out, normalises=1, eps=layer.eps, momentum=layer.momentum, **numbers)

    def _rectify(self, slope: float) -> None:
        last = self.ops[-1] if self.ops else None
        if last is None or last.kind not in (CONVOLUTION, POINTWISE) or last.rectifies or last.drops:
            last = self._append(POINTWISE, self.out)
        last.rectifies, last.slope = 1, slope

    def _drop(self, p: float, what: int) -> None:
        if what == MAPS and self.out[1:] == (1, 1):
            what = VALUES
        last = self.ops[-1] if self.ops else None
        if last is None or last.kind != POINTWISE or last.drops:
            last = self._append(POINTWISE, self.out)
        last.drops, last.p = what, p

    def _pool(self, name: str, kind: int, layer: nn.MaxPool2d | nn.AvgPool2d) -> None:
        sides = [
            side if isinstance(side, tuple) else (side,) * 2
            for side in (layer.kernel_size, layer.stride, layer.padding)
        ]
        if any(side[0] != side[1] for side in sides) or layer.ceil_mode:
            raise UnsupportedError(f"layer {int(name) + 1} (a pool that is not square)")
        kernel, stride, padding = (int(side[0]) for side in sides)
        channels, *size = self.out
        out = tuple((side + 2 * padding - kernel) // stride + 1 for side in size)
        self._append(kind, (channels, *out), kernel=kernel, stride=stride, padding=padding)
