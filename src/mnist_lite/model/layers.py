"""The vocabulary of layers: the words of a model's layer list in YAML, and the torch module for each word.

Each function below is one word. Its first argument is the shape of the input: ``(C, H, W)``, or ``(C,)`` after ``flatten``.
Its other arguments come from YAML. The first of them is the main one: ``{conv: 12, kernel: 3}`` calls
``conv(shape, out=12, kernel=3)``. The words ``repeat`` and ``residual`` hold other layers; they are in ``layer_list.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

Shape = tuple[int, ...]


class GlobalAvgPool2d(nn.Module):
    """The mean of each channel: ``(N, C, H, W)`` to ``(N, C, 1, 1)``. Deterministic on CUDA, unlike ``AdaptiveAvgPool2d``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of each channel."""
        return x.mean((2, 3), keepdim=True)


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over groups of about ``size`` images of the batch (Hoffer et al., 2017, "Train longer, generalize better").

    In training, each group is normalised with its own mean and variance. The running statistics are updated once per step with
    the mean over the groups. In evaluation, it is the same as batch norm.
    """

    def __init__(self, num_features: int, size: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)
        self.size = size

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"{self.num_features}, size={self.size}, eps={self.eps}, momentum={self.momentum}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` to the same shape."""
        if not self.training:
            return super().forward(x)
        groups = x.tensor_split(max(1, x.shape[0] // self.size))
        outputs = [F.batch_norm(g, None, None, self.weight, self.bias, training=True, eps=self.eps) for g in groups]
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            detached = [g.detach().to(self.running_mean.dtype) for g in groups]
            mean = torch.stack([g.mean((0, 2, 3)) for g in detached]).mean(0)
            var = torch.stack([g.var((0, 2, 3)) for g in detached]).mean(0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var, self.momentum)
        return torch.cat(outputs)


class Residual(nn.Module):
    """A residual block (He et al., 2015): ``body(x) + x``, or ``body(x) + projection(x)`` if there is a projection."""

    def __init__(self, body: nn.Sequential, projection: nn.Module | None) -> None:
        """``projection`` is needed if the output of ``body`` has another shape than its input."""
        super().__init__()
        self.body: nn.Sequential = body
        self.projection: nn.Module | None = projection

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, ...)`` to the shape of the output of ``body``."""
        output: torch.Tensor = self.body(x)
        return output + (x if self.projection is None else self.projection(x))


def conv(
    shape: Shape,
    out: int,
    kernel: int = 3,
    padding: int = 0,
    stride: int = 1,
    groups: int | Literal["in"] = 1,
    dilation: int = 1,
    bias: bool = False,
) -> nn.Module:
    """2-D convolution to ``out`` channels; ``groups: in`` is depthwise. Unlike in torch, the default is no bias."""
    count = shape[0] if groups == "in" else int(groups)
    if min(out, kernel, stride, count, dilation) < 1 or padding < 0:
        raise ValueError("out, kernel, stride, groups and dilation must be >= 1, padding >= 0")
    return nn.Conv2d(shape[0], out, kernel, stride, padding, dilation, count, bias)


def linear(shape: Shape, out: int, bias: bool = True) -> nn.Module:
    """Fully connected layer to ``out`` features; needs ``flatten`` before it."""
    if len(shape) != 1:
        raise ValueError("linear takes flat input; put flatten before it")
    if out < 1:
        raise ValueError("out must be >= 1")
    return nn.Linear(shape[0], out, bias)


def batch_norm(shape: Shape, momentum: float = 0.1, eps: float = 1e-5) -> nn.Module:
    """``torch.nn.BatchNorm2d``, or ``BatchNorm1d`` after ``flatten``."""
    _check_norm(eps, momentum)
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return kind(shape[0], momentum=momentum, eps=eps)


def ghost_batch_norm(shape: Shape, size: int = 32, momentum: float = 0.1, eps: float = 1e-5) -> nn.Module:
    """Batch norm over groups of ``size`` images of the batch."""
    _check_norm(eps, momentum)
    if size < 1:
        raise ValueError("size must be >= 1")
    return GhostBatchNorm2d(shape[0], size, eps=eps, momentum=momentum)


def group_norm(shape: Shape, groups: int, eps: float = 1e-5) -> nn.Module:
    """``torch.nn.GroupNorm`` with ``groups`` groups of channels."""
    _check_norm(eps)
    if groups < 1 or shape[0] % groups:
        raise ValueError(f"groups must divide the {shape[0]} channels")
    return nn.GroupNorm(groups, shape[0], eps=eps)


def layer_norm(shape: Shape, eps: float = 1e-5) -> nn.Module:
    """Normalises each image over all its values; one weight and one bias per channel (``GroupNorm`` with 1 group)."""
    _check_norm(eps)
    return nn.GroupNorm(1, shape[0], eps=eps)


def instance_norm(shape: Shape, affine: bool = True, eps: float = 1e-5) -> nn.Module:
    """``torch.nn.InstanceNorm2d``: normalises each channel of each image."""
    _check_norm(eps)
    return nn.InstanceNorm2d(shape[0], affine=affine, eps=eps)


def dropout(shape: Shape, p: float = 0.5) -> nn.Module:
    """``torch.nn.Dropout``: sets single values to zero, each with probability ``p`` in [0, 1)."""
    _check_probability(p)
    return nn.Dropout(p)


def dropout2d(shape: Shape, p: float = 0.5) -> nn.Module:
    """``torch.nn.Dropout2d``: sets whole channels to zero, each with probability ``p`` in [0, 1)."""
    _check_probability(p)
    return nn.Dropout2d(p)


def max_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    """``torch.nn.MaxPool2d``; the default stride is the kernel."""
    _check_pool(kernel, stride, padding)
    return nn.MaxPool2d(kernel, stride, padding)


def avg_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    """``torch.nn.AvgPool2d``; the default stride is the kernel."""
    _check_pool(kernel, stride, padding)
    return nn.AvgPool2d(kernel, stride, padding)


def _check_pool(kernel: int, stride: int | None, padding: int) -> None:
    if kernel < 1 or (stride is not None and stride < 1):
        raise ValueError("kernel and stride must be >= 1")
    if not 0 <= padding <= kernel // 2:
        raise ValueError("padding must be >= 0 and at most half of kernel")


def global_avg_pool(shape: Shape) -> nn.Module:
    """The mean of each channel, for a map of any size."""
    return GlobalAvgPool2d()


def flatten(shape: Shape) -> nn.Module:
    """``(C, H, W)`` to ``(C * H * W,)``."""
    return nn.Flatten()


def leaky_relu(shape: Shape, negative_slope: float = 0.01) -> nn.Module:
    """``torch.nn.LeakyReLU``."""
    return nn.LeakyReLU(negative_slope)


def elu(shape: Shape, alpha: float = 1.0) -> nn.Module:
    """``torch.nn.ELU``."""
    return nn.ELU(alpha)


def prelu(shape: Shape, init: float = 0.25) -> nn.Module:
    """``torch.nn.PReLU`` with one slope per channel."""
    return nn.PReLU(shape[0], init)


def _check_probability(p: float) -> None:
    if not 0 <= p < 1:  # torch allows 1, which sets all values to zero
        raise ValueError("p must be >= 0 and < 1")


def _check_norm(eps: float, momentum: float = 0.1) -> None:
    if not (eps > 0 and 0 <= momentum <= 1):
        raise ValueError("eps > 0 and momentum in [0, 1] are needed")


def _without_arguments(module: Callable[[], nn.Module]) -> Callable[[Shape], nn.Module]:
    def word(shape: Shape) -> nn.Module:
        return module()

    word.__doc__ = f"``torch.nn.{module.__name__}``."
    return word


LAYERS: dict[str, Callable[..., nn.Module]] = {
    "conv": conv,
    "linear": linear,
    "flatten": flatten,
    "batch_norm": batch_norm,
    "ghost_batch_norm": ghost_batch_norm,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "instance_norm": instance_norm,
    "dropout": dropout,
    "dropout2d": dropout2d,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "global_avg_pool": global_avg_pool,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "prelu": prelu,
    "relu": _without_arguments(nn.ReLU),
    "relu6": _without_arguments(nn.ReLU6),
    "gelu": _without_arguments(nn.GELU),
    "silu": _without_arguments(nn.SiLU),
    "mish": _without_arguments(nn.Mish),
    "hardswish": _without_arguments(nn.Hardswish),
    "softplus": _without_arguments(nn.Softplus),
    "tanh": _without_arguments(nn.Tanh),
    "sigmoid": _without_arguments(nn.Sigmoid),
    "identity": _without_arguments(nn.Identity),
}
MAX_STRIDE = 1_000_000
"""No image is that large. torch fails with a stride that has more than 64 bits."""
MAPS_ONLY = ("conv", "ghost_batch_norm", "instance_norm", "dropout2d", "max_pool", "avg_pool", "global_avg_pool")
"""Words that take ``(C, H, W)`` only."""


def output_shape(module: nn.Module, shape: Shape) -> Shape:
    """The output shape of ``module``, a layer, for an input of ``shape``. Nothing is computed.

    Torch's meta device knows these shapes, too. But it would import torch's compiler, which takes a second or two.

    Raises:
        RuntimeError: the input is too small for the kernel.
    """
    match module:
        case nn.Flatten():
            return (math.prod(shape),)
        case nn.Linear():
            return (module.out_features,)
        case GlobalAvgPool2d():
            return (shape[0], 1, 1)
        case nn.Conv2d():
            return (module.out_channels, *_windows(shape, module, module.dilation))
        case nn.MaxPool2d() | nn.AvgPool2d():
            return (shape[0], *_windows(shape, module, 1))
        case _:  # norms, dropout and activations
            return shape


def _windows(shape: Shape, layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, dilation: Any) -> tuple[int, int]:
    """The number of places for the kernel of ``layer``, in height and width. The formula is in torch's page of ``Conv2d``."""
    places = []
    pairs = (_pair(value) for value in (layer.kernel_size, layer.stride, layer.padding, dilation))
    for size, kernel, stride, padding, step in zip(shape[1:], *pairs, strict=True):
        covered, padded = step * (kernel - 1) + 1, size + 2 * padding
        if covered > padded:
            side = "a side of the padded input" if padding else "a side of the input"
            raise RuntimeError(f"its kernel covers {covered} x {covered} pixels, and {side} has {padded}")
        if stride > MAX_STRIDE:
            raise RuntimeError(f"its stride is larger than {MAX_STRIDE:,}")
        places.append((padded - covered) // stride + 1)
    return places[0], places[1]


def _pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def make_layer(word: str, shape: Shape, arguments: dict[str, Any]) -> nn.Module:
    """The module of one layer for an input of ``shape``.

    Raises:
        ValueError: the arguments do not fit the shape or each other.
    """
    if word in MAPS_ONLY and len(shape) != 3:
        raise ValueError(f"{word} needs an input (C, H, W), but a flatten comes before it")
    return LAYERS[word](shape, **arguments)
