"""Translates a network into the list of operations that the C++ kernels execute.

Input: a ``torch.nn.Sequential`` and the shape of its images. Output: ``Op`` structures for ``mnist_lite_new`` in network.cpp, and
the names of the tensors that they refer to. For a layer that the kernels do not have, ``UnsupportedError``
is raised.
"""

from __future__ import annotations

import ctypes
import math

from torch import nn

from mnist_lite.model.layers import GhostBatchNorm2d, GlobalAvgPool2d, Residual, Shape

CONVOLUTION, POINTWISE, MAX_POOL, AVG_POOL, SAVE, SWAP, ADD = range(7)
NO_NORM, BATCH_NORM, GROUP_NORM = range(3)
NO_DROPOUT, DROP_VALUES, DROP_CHANNELS = range(3)
TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "alphas")
NO_TENSOR = -1
# in the order of Activation in op.h
_ACTIVATIONS: tuple[type[nn.Module] | None, ...] = (
    *(None, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.ReLU6, nn.GELU),
    *(nn.SiLU, nn.Mish, nn.Hardswish, nn.Softplus, nn.Tanh, nn.Sigmoid),
)
LEAKY_RELU, PRELU = 1, 2


class UnsupportedError(Exception):
    """The kernels do not have a layer or an argument. The message names it."""


class Op(ctypes.Structure):
    """``Op`` in op.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "channels", "height", "width")),
        *((name, ctypes.c_int32) for name in ("out_channels", "out_height", "out_width")),
        *((name, ctypes.c_int32) for name in ("kernel", "stride", "padding", "dilation", "groups")),
        *((name, ctypes.c_int32) for name in ("norm", "ghost_size", "activation", "dropout", "saved")),
        *((name, ctypes.c_float) for name in ("alpha", "p", "eps", "momentum")),
        *((name, ctypes.c_int32) for name in TENSORS),
    )


def compile_operations(module: nn.Sequential, shape: Shape) -> Operations:
    """The operations of ``module``, which ``model.build`` made, for images of ``shape`` ``(C, H, W)``.

    A ReLU becomes a part of the convolution before it. Norm, activation and dropout in this order become one pointwise operation,
    which reads and writes each value once. A residual block is three or more operations, see op.h.

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
        self._rows = 0  # of the layer table so far
        self._open_blocks = 0

    def add(self, name: str, layer: nn.Module) -> None:
        """Appends ``layer``, or joins it with the operation before it. ``name`` is its name in the module."""
        if isinstance(layer, Residual):
            self._add_residual(name, layer)
            return
        self._rows += 1
        if isinstance(layer, nn.Conv2d):
            self._add_convolution(name, layer)
        elif isinstance(layer, nn.Linear):
            self._append(CONVOLUTION, (layer.out_features, 1, 1), **self._tensors(name, layer, "weight", "bias"))
        elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm1d)):
            self._add_batch_norm(name, layer)
        elif isinstance(layer, (nn.GroupNorm, nn.InstanceNorm2d)):
            groups = layer.num_groups if isinstance(layer, nn.GroupNorm) else layer.num_features
            tensors = self._tensors(name, layer, "weight", "bias")
            self._append(POINTWISE, self.shape, norm=GROUP_NORM, groups=groups, eps=layer.eps, **tensors)
        elif type(layer) in (nn.ReLU, *_ACTIVATIONS):
            self._add_activation(name, layer)
        elif isinstance(layer, (nn.Dropout, nn.Dropout2d)):
            self._add_dropout(layer)
        elif isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            self._add_pool(layer)
        elif isinstance(layer, GlobalAvgPool2d):
            self._add_pool(nn.AvgPool2d(self.shape[1]))
        elif isinstance(layer, nn.Flatten):
            self.shape = (math.prod(self.shape), 1, 1)
        elif not isinstance(layer, nn.Identity):
            raise UnsupportedError(f"layer {self._rows} ({type(layer).__name__})")

    def _add_residual(self, name: str, layer: Residual) -> None:
        block, shape = {"saved": self._open_blocks}, self.shape
        self._open_blocks += 1
        self._append(SAVE, shape, **block)
        for child_name, child in layer.body.named_children():
            self.add(f"{name}.body.{child_name}", child)
        if layer.projection is not None:
            self._append(SWAP, shape, **block)
            self.add(f"{name}.projection", layer.projection)
        self._append(ADD, self.shape, **block)
        self._rows += 1  # the row "add"
        self._open_blocks -= 1

    def _add_convolution(self, name: str, layer: nn.Conv2d) -> None:
        sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        kernel, stride, padding, dilation = (int(size[0]) for size in sizes)
        if padding > (kernel - 1) * dilation:
            raise UnsupportedError(f"layer {self._rows} (padding that is wider than the kernel)")
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

    def _add_batch_norm(self, name: str, layer: nn.BatchNorm2d | nn.BatchNorm1d) -> None:
        assert layer.momentum is not None
        constants: dict[str, float] = {"eps": layer.eps, "momentum": layer.momentum}
        fields = ["weight", "bias", "running_mean", "running_var"]
        if isinstance(layer, GhostBatchNorm2d):
            constants["ghost_size"] = layer.size
        else:
            fields.append("num_batches_tracked")
        self._append(POINTWISE, self.shape, norm=BATCH_NORM, **constants, **self._tensors(name, layer, *fields))

    def _add_activation(self, name: str, layer: nn.Module) -> None:
        kind, alpha = LEAKY_RELU, 0.0
        if isinstance(layer, nn.LeakyReLU):
            # leaky ReLU computes its gradient from the output: with a slope >= 0 it is positive where the input is
            kind, alpha = (LEAKY_RELU if layer.negative_slope >= 0 else PRELU), layer.negative_slope
        elif not isinstance(layer, nn.ReLU):
            kind, alpha = _ACTIVATIONS.index(type(layer)), getattr(layer, "alpha", 0.0)
        last = self.ops[-1] if self.ops else None
        kinds = (CONVOLUTION, POINTWISE) if kind == LEAKY_RELU else (POINTWISE,)
        if last is None or last.kind not in kinds or last.activation or last.dropout:
            last = self._append(POINTWISE, self.shape)
        last.activation, last.alpha = kind, alpha
        if isinstance(layer, nn.PReLU):
            last.alphas = self._tensor(f"{name}.weight")

    def _add_dropout(self, layer: nn.Dropout | nn.Dropout2d) -> None:
        last = self.ops[-1] if self.ops else None
        if last is None or last.kind != POINTWISE or last.dropout:
            last = self._append(POINTWISE, self.shape)
        whole_channels = isinstance(layer, nn.Dropout2d) and self.shape[1:] != (1, 1)
        last.dropout, last.p = DROP_CHANNELS if whole_channels else DROP_VALUES, layer.p

    def _add_pool(self, layer: nn.MaxPool2d | nn.AvgPool2d) -> None:
        kind = MAX_POOL if isinstance(layer, nn.MaxPool2d) else AVG_POOL
        kernel, stride, padding = (int(size) for size in (layer.kernel_size, layer.stride, layer.padding))  # type: ignore[arg-type]
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side in self.shape[1:])
        self._append(kind, (self.shape[0], height, width), kernel=kernel, stride=stride, padding=padding)

    def _append(self, kind: int, output: Shape, **fields: float) -> Op:
        op = Op(kind, *self.shape, *output, kernel=1, stride=1, dilation=1, groups=1)
        for field in TENSORS:
            setattr(op, field, NO_TENSOR)
        for field, value in fields.items():
            setattr(op, field, value)
        self.ops.append(op)
        self.shape = output
        return op

    def _tensors(self, name: str, layer: nn.Module, *fields: str) -> dict[str, int]:
        """Appends the tensors ``fields`` of ``layer``. Returns their indices in the list of tensors."""
        return {field: self._tensor(f"{name}.{field}") for field in fields if getattr(layer, field) is not None}

    def _tensor(self, name: str) -> int:
        self.tensors.append(name)
        return len(self.tensors) - 1
