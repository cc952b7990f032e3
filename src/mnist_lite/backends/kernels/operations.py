"""Translates a network into the list of operations that the C++ kernels execute.

Input: a ``torch.nn.Sequential`` and the shape of its images. Output: ``Op`` structures for ``mnist_lite_new`` in network.cpp, and
the names of the tensors that they refer to. For a layer that the kernels do not have, ``UnsupportedError``
is raised.
"""

from __future__ import annotations

import ctypes
import math

from torch import nn

from mnist_lite.model.layers import GhostBatchNorm2d, GlobalAvgPool2d, Shape

CONVOLUTION, POINTWISE, MAX_POOL, AVG_POOL = range(4)
NO_DROPOUT, DROP_VALUES, DROP_CHANNELS = range(3)
NO_TENSOR = -1


class UnsupportedError(Exception):
    """The kernels do not have a layer or an argument. The message names it."""


class Op(ctypes.Structure):
    """``Op`` in op.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "channels", "height", "width")),
        *((name, ctypes.c_int32) for name in ("out_channels", "out_height", "out_width")),
        *((name, ctypes.c_int32) for name in ("kernel", "stride", "padding", "dilation", "groups")),
        *((name, ctypes.c_int32) for name in ("relu", "batch_norm", "dropout")),
        *((name, ctypes.c_float) for name in ("negative_slope", "p", "eps", "momentum")),
        *((name, ctypes.c_int32) for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
    )


def compile_operations(module: nn.Sequential, shape: Shape) -> Operations:
    """The operations of ``module``, which ``model.build`` made, for images of ``shape`` ``(C, H, W)``.

    A ReLU becomes a part of the convolution before it. Batch norm, ReLU and dropout in this order become one pointwise operation,
    which reads and writes each value once.

    Raises:
        UnsupportedError: a layer or an argument that the kernels do not have.
    """
    operations = Operations(shape)
    for name, layer in module.named_children():
        operations.add(name, layer)
    return operations


class Operations:
    """A network as a list of operations."""

    def __init__(self, shape: Shape) -> None:
        self.ops: list[Op] = []
        self.tensors: list[str] = []
        """Names in the module's ``state_dict``. An operation refers to a tensor by its index in this list."""
        self.shape = shape
        """``(C, H, W)`` after the last operation."""

    def add(self, name: str, layer: nn.Module) -> None:
        """Appends ``layer``, or joins it with the operation before it. ``name`` is its name in the module."""
        kind = type(layer)
        if isinstance(layer, nn.Conv2d):
            self._add_convolution(name, layer)
        elif isinstance(layer, nn.Linear):
            self._append(CONVOLUTION, (layer.out_features, 1, 1), **self._tensors(name, layer, "weight", "bias"))
        elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm1d)) and kind is not GhostBatchNorm2d:
            assert layer.momentum is not None
            fields = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            constants = {"eps": layer.eps, "momentum": layer.momentum}
            self._append(POINTWISE, self.shape, batch_norm=1, **constants, **self._tensors(name, layer, *fields))
        elif kind is nn.ReLU:
            self._add_relu(0.0)
        elif isinstance(layer, nn.LeakyReLU) and layer.negative_slope >= 0:
            # the kernels compute the gradient from the output: with slope >= 0 it is positive where the input is
            self._add_relu(layer.negative_slope)
        elif isinstance(layer, nn.Dropout):
            self._add_dropout(layer.p, DROP_VALUES)
        elif isinstance(layer, nn.Dropout2d):
            self._add_dropout(layer.p, DROP_VALUES if self.shape[1:] == (1, 1) else DROP_CHANNELS)
        elif isinstance(layer, nn.MaxPool2d):
            self._add_pool(MAX_POOL, layer)
        elif isinstance(layer, nn.AvgPool2d):
            self._add_pool(AVG_POOL, layer)
        elif kind is GlobalAvgPool2d:
            self._add_pool(AVG_POOL, nn.AvgPool2d(self.shape[1]))
        elif kind is nn.Flatten:
            self.shape = (math.prod(self.shape), 1, 1)
        elif kind is not nn.Identity:
            raise UnsupportedError(f"layer {int(name) + 1} ({kind.__name__})")

    def _add_convolution(self, name: str, layer: nn.Conv2d) -> None:
        sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        kernel, stride, padding, dilation = (int(size[0]) for size in sizes)
        if padding > (kernel - 1) * dilation:
            raise UnsupportedError(f"layer {int(name) + 1} (padding that is wider than the kernel)")
        height, width = ((side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in self.shape[1:])
        geometry = {
            "kernel": kernel,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": layer.groups,
        }
        tensors = self._tensors(name, layer, "weight", "bias")
        self._append(CONVOLUTION, (layer.out_channels, height, width), **geometry, **tensors)

    def _add_relu(self, negative_slope: float) -> None:
        last = self.ops[-1] if self.ops else None
        if last is None or last.kind not in (CONVOLUTION, POINTWISE) or last.relu or last.dropout:
            last = self._append(POINTWISE, self.shape)
        last.relu, last.negative_slope = 1, negative_slope

    def _add_dropout(self, p: float, dropout: int) -> None:
        last = self.ops[-1] if self.ops else None
        if last is None or last.kind != POINTWISE or last.dropout:
            last = self._append(POINTWISE, self.shape)
        last.dropout, last.p = dropout, p

    def _add_pool(self, kind: int, layer: nn.MaxPool2d | nn.AvgPool2d) -> None:
        kernel, stride, padding = (int(size) for size in (layer.kernel_size, layer.stride, layer.padding))  # type: ignore[arg-type]
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side in self.shape[1:])
        self._append(kind, (self.shape[0], height, width), kernel=kernel, stride=stride, padding=padding)

    def _append(self, kind: int, output: Shape, **fields: float) -> Op:
        op = Op(kind, *self.shape, *output, kernel=1, stride=1, dilation=1, groups=1)
        for field in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(op, field, NO_TENSOR)
        for field, value in fields.items():
            setattr(op, field, value)
        self.ops.append(op)
        self.shape = output
        return op

    def _tensors(self, name: str, layer: nn.Module, *fields: str) -> dict[str, int]:
        """Appends the tensors ``fields`` of ``layer``. Returns their indices in the list of tensors."""
        indices = {}
        for field in fields:
            if getattr(layer, field) is not None:
                indices[field] = len(self.tensors)
                self.tensors.append(f"{name}.{field}")
        return indices
