"""The vocabulary of layers: what a line in a model's YAML list can say, and the torch module that it becomes.

Each function below is one word. It takes the shape that comes in, ``(C, H, W)`` or ``(C,)`` after ``flatten``, then the
arguments that YAML may give, the main one first: ``{conv: 12, kernel: 3}`` calls ``conv(shape, out=12, kernel=3)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

Shape = tuple[int, ...]


class GlobalAvgPool2d(nn.Module):
    """The mean over each map: ``(N, C, H, W)`` to ``(N, C, 1, 1)``. Deterministic on CUDA, unlike the adaptive pool."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mean over each map."""
        return x.mean((2, 3), keepdim=True)


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over groups of about ``size`` images of the batch (Hoffer et al., 2017, "Train longer, generalize better").

    In training each group is normalised with its own mean and variance; the running statistics take the mean over the
    groups once per step. In evaluation it is plain batch norm.
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
            detached = [g.detach().float() for g in groups]
            mean = torch.stack([g.mean((0, 2, 3)) for g in detached]).mean(0)
            var = torch.stack([g.var((0, 2, 3)) for g in detached]).mean(0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var, self.momentum)
        return torch.cat(outputs)


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
    """2-D convolution to ``out`` channels; ``groups: in`` is depthwise. Unlike torch's, without bias unless asked."""
    count = shape[0] if groups == "in" else int(groups)
    if min(out, kernel, stride, count, dilation) < 1 or padding < 0:
        raise ValueError("out, kernel, stride, groups and dilation must be >= 1, padding >= 0")
    return nn.Conv2d(shape[0], out, kernel, stride, padding, dilation, count, bias)


def linear(shape: Shape, out: int, bias: bool = True) -> nn.Module:
    """Fully connected layer to ``out`` features; wants ``flatten`` before it."""
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
    """Normalises each image over all its channels and places; a weight and a bias per channel (GroupNorm with 1 group)."""
    _check_norm(eps)
    return nn.GroupNorm(1, shape[0], eps=eps)


def instance_norm(shape: Shape, affine: bool = True, eps: float = 1e-5) -> nn.Module:
    """``torch.nn.InstanceNorm2d``: each map of each image by itself."""
    _check_norm(eps)
    return nn.InstanceNorm2d(shape[0], affine=affine, eps=eps)


def dropout(shape: Shape, p: float = 0.5) -> nn.Module:
    """``torch.nn.Dropout``: sets single values to zero, each with probability ``p`` in [0, 1)."""
    _check_rate(p)
    return nn.Dropout(p)


def dropout2d(shape: Shape, p: float = 0.5) -> nn.Module:
    """``torch.nn.Dropout2d``: sets whole maps to zero, each with probability ``p`` in [0, 1)."""
    _check_rate(p)
    return nn.Dropout2d(p)


def max_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    """``torch.nn.MaxPool2d``; stride is the kernel unless given."""
    return nn.MaxPool2d(kernel, stride, padding)


def avg_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    """``torch.nn.AvgPool2d``; stride is the kernel unless given."""
    return nn.AvgPool2d(kernel, stride, padding)


def global_avg_pool(shape: Shape) -> nn.Module:
    """The mean over each map, whatever its size."""
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
    """``torch.nn.PReLU`` with a slope per channel."""
    return nn.PReLU(shape[0], init)


def _check_rate(p: float) -> None:
    if not 0 <= p < 1:  # torch allows 1, which sets all values to zero
        raise ValueError("p must be >= 0 and < 1")


def _check_norm(eps: float, momentum: float = 0.1) -> None:
    if not (eps > 0 and 0 <= momentum <= 1):
        raise ValueError("eps > 0 and momentum in [0, 1] are needed")


def _plain(module: Callable[[], nn.Module]) -> Callable[[Shape], nn.Module]:
    def word(shape: Shape) -> nn.Module:
        return module()

    word.__doc__ = f"``torch.nn.{module.__name__}``."
    return word


VOCABULARY: dict[str, Callable[..., nn.Module]] = {
    **{word.__name__: word for word in (conv, linear, flatten)},
    **{word.__name__: word for word in (batch_norm, ghost_batch_norm, group_norm, layer_norm, instance_norm)},
    **{word.__name__: word for word in (dropout, dropout2d, max_pool, avg_pool, global_avg_pool)},
    **{word.__name__: word for word in (leaky_relu, elu, prelu)},
    **{
        name: _plain(module)
        for name, module in {
            "relu": nn.ReLU,
            "relu6": nn.ReLU6,
            "gelu": nn.GELU,
            "silu": nn.SiLU,
            "mish": nn.Mish,
            "hardswish": nn.Hardswish,
            "softplus": nn.Softplus,
            "tanh": nn.Tanh,
            "sigmoid": nn.Sigmoid,
            "identity": nn.Identity,
        }.items()
    },
}
MAPS_ONLY = {
    *("conv", "ghost_batch_norm", "instance_norm", "dropout2d"),
    *("max_pool", "avg_pool", "global_avg_pool"),
}


def make(word: str, shape: Shape, arguments: dict[str, Any]) -> nn.Module:
    """The module of one layer.

    Raises:
        ValueError: the arguments do not fit the shape or each other.
    """
    if word in MAPS_ONLY and len(shape) != 3:
        raise ValueError(f"{word} takes maps, and flatten stands before it")
    return VOCABULARY[word](shape, **arguments)
