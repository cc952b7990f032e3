"""The network of a run as plain values for the page of ``mnist-lite report``, where JavaScript computes it.

The layers are ``reporting/html/network.mjs``'s. All weights are in one base64 text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from mnist_lite.insight.activations import layers_with_modules
from mnist_lite.insight.class_maps import MapSource, exact_source, grad_cam_source
from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.model.build import Layer
from mnist_lite.model.layers import GlobalAvgPool2d, Residual

MAX_PARAMETERS = 500_000
"""The limit for networks that the page computes: 2.7 MB of base64."""
MAX_WORK = 500_000_000
"""The limit for multiply-adds and outputs per image. A browser needs about a second for them."""


def _named(kind: str, *arguments: str) -> Callable[[Any], dict[str, Any]]:
    """Describes a module as ``kind`` with some of its attributes."""
    return lambda module: {"kind": kind, **{name: getattr(module, name) for name in arguments}}


def _conv(module: nn.Conv2d) -> dict[str, Any]:
    sizes = {
        "kernel": module.kernel_size,
        "stride": module.stride,
        "padding": module.padding,
        "dilation": module.dilation,
    }
    sides = {name: size[0] for name, size in sizes.items()}
    return {"kind": "conv", "out": module.out_channels, "groups": module.groups, **sides}


def _pool(kind: str) -> Callable[[Any], dict[str, Any]]:
    return lambda pool: {"kind": kind, "kernel": pool.kernel_size, "stride": pool.stride, "padding": pool.padding}


WITH_WEIGHTS: dict[type[nn.Module], Callable[[Any], dict[str, Any]]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda module: {"kind": "linear", "out": module.out_features},
    nn.GroupNorm: lambda module: {"kind": "group_norm", "groups": module.num_groups, "eps": module.eps},
    nn.InstanceNorm2d: lambda module: {"kind": "group_norm", "groups": module.num_features, "eps": module.eps},
}
"""Layers with ``weight`` and ``bias``, which can be None."""
WITHOUT_WEIGHTS: dict[type[nn.Module], Callable[[Any], dict[str, Any]]] = {
    nn.MaxPool2d: _pool("max_pool"),
    nn.AvgPool2d: _pool("avg_pool"),
    GlobalAvgPool2d: _named("global_avg_pool"),
    nn.Flatten: _named("flatten"),
    nn.LeakyReLU: _named("leaky_relu", "negative_slope"),
    nn.ELU: _named("elu", "alpha"),
    nn.ReLU: _named("relu"),
    nn.ReLU6: _named("relu6"),
    nn.GELU: _named("gelu"),
    nn.SiLU: _named("silu"),
    nn.Mish: _named("mish"),
    nn.Hardswish: _named("hardswish"),
    nn.Softplus: _named("softplus"),
    nn.Tanh: _named("tanh"),
    nn.Sigmoid: _named("sigmoid"),
    nn.Dropout: _named("identity"),  # nothing after the training
    nn.Dropout2d: _named("identity"),
    nn.Identity: _named("identity"),
}


class UnsupportedError(Exception):
    """The page cannot compute the network. The message is for the page."""


def network_for_page(run: SavedRun) -> dict[str, Any]:
    """The network of ``run``. ``unsupported`` says why the page cannot compute it; then there are no weights."""
    found: dict[str, Any] = {
        "name": run.name,
        "parameters": run.network.parameters,
        "layers": [],
        "weights": "",
        "class_maps": None,
        "unsupported": None,
    }
    try:
        if not (math.isfinite(run.data["mean"]) and math.isfinite(run.data["std"])):
            raise UnsupportedError("The mean and the standard deviation of the training images are not numbers.")
        if run.network.parameters > MAX_PARAMETERS:
            raise UnsupportedError(
                f"This network has {run.network.parameters:,} parameters. "
                f"The page computes networks of up to {MAX_PARAMETERS:,} parameters."
            )
        work = sum(layer.multiply_adds + math.prod(layer.output) for layer in run.network.layers)
        if work > MAX_WORK:
            raise UnsupportedError(f"This network needs {work:,} operations per image. That is too slow for the page.")
        described = _Description({id(module): layer for layer, module in layers_with_modules(run.network)})
        layers = described.sequence(run.network.module)
    except UnsupportedError as error:
        return found | {"unsupported": str(error)}
    source = _map_source(run)
    return found | {
        "mean": run.data["mean"],
        "std": run.data["std"],
        "layers": layers,
        "weights": base64.b64encode(b"".join(described.tensors)).decode(),
        "class_maps": None if source is None else vars(source),
    }


def _map_source(run: SavedRun) -> MapSource | None:
    """Exact class maps, unless they are too small to show places and Grad-CAM has larger ones."""
    exact = exact_source(run)
    if exact is not None and not exact.small:
        return exact
    return grad_cam_source(run) or exact


class _Description:
    """Describes modules one by one and collects their weights."""

    def __init__(self, rows: dict[int, Layer]) -> None:
        """``rows``: the rows of the layer table by the ``id`` of their module."""
        self.rows = rows
        self.tensors: list[bytes] = []
        self.length = 0
        """Numbers in ``tensors``."""

    def sequence(self, modules: Sequence[nn.Module] | nn.Sequential) -> list[dict[str, Any]]:
        return [self.layer(module) for module in modules]

    def layer(self, module: nn.Module) -> dict[str, Any]:
        """One layer: ``kind``, its arguments, and its row in the layer table. A ``Flatten`` at the end has no row."""
        row = self.rows.get(id(module))
        described = self.operation(module)
        if row is None:
            return described
        middle = row.rows_of_image(row.middle)
        place = {"receptive_field": row.receptive_field, "jump": row.jump, "middle": middle}
        return {**described, "number": row.number, "text": row.text, "block": row.block, "shape": row.output, **place}

    def operation(self, module: nn.Module) -> dict[str, Any]:
        """``kind`` and the arguments of ``module``. A weight is ``[offset, length]``, counted in numbers."""
        kind = type(module)
        if isinstance(module, Residual):
            projection = None if module.projection is None else self.layer(module.projection)
            return {"kind": "residual", "body": self.sequence(module.body), "projection": projection}
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            return {"kind": "batch_norm", **self.scale_and_shift(module)}
        if isinstance(module, nn.PReLU):
            return {"kind": "prelu", "weight": self.tensor(module.weight)}
        if kind in WITH_WEIGHTS:
            return {**WITH_WEIGHTS[kind](module), **self.both(module)}
        if kind in WITHOUT_WEIGHTS:
            return WITHOUT_WEIGHTS[kind](module)
        row = self.rows[id(module)]
        raise UnsupportedError(
            f"The page cannot compute layer {row.number} ({row.text}): its JavaScript has no such layer."
        )

    def both(self, module: nn.Module) -> dict[str, Any]:
        """The ``weight`` and the ``bias`` of ``module``; None where it has none."""
        tensors = {"weight": module.weight, "bias": module.bias}
        return {name: None if tensor is None else self.tensor(tensor) for name, tensor in tensors.items()}  # type: ignore[arg-type]

    def scale_and_shift(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> dict[str, Any]:
        """Batch norm after the training: ``weight * x + bias``."""
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        return {"weight": self.tensor(scale), "bias": self.tensor(shift)}

    def tensor(self, tensor: torch.Tensor) -> list[int]:
        """Appends ``tensor``. Returns where it is: ``[offset, length]``."""
        place = [self.length, tensor.numel()]
        self.tensors.append(tensor.detach().numpy().astype(np.dtype("<f4")).tobytes())
        self.length += tensor.numel()
        return place
