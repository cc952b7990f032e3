"""The network of a run as plain values for the page of ``mnist-lite report``, where JavaScript computes it.

The layers are ``reporting/html/network.mjs``'s. All weights are in one base64 text.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
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
ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Hardswish: "hardswish",
    nn.Softplus: "softplus",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}
"""Activations without arguments."""
NOTHING = (nn.Dropout, nn.Dropout2d, nn.Identity)
"""Layers that do nothing after the training."""


class UnknownLayerError(Exception):
    """The page cannot compute a layer. The message is for the page."""


def network_for_page(run: SavedRun) -> dict[str, Any]:
    """The network of ``run``. ``unsupported`` says why the page cannot compute it; then there are no weights."""
    found: dict[str, Any] = {
        "name": run.name,
        "parameters": run.network.parameters,
        "mean": run.data["mean"],
        "std": run.data["std"],
        "layers": [],
        "weights": "",
        "class_maps": None,
        "unsupported": None,
    }
    try:
        if run.network.parameters > MAX_PARAMETERS:
            raise UnknownLayerError(
                f"This network has {run.network.parameters:,} parameters. "
                f"The page computes networks of up to {MAX_PARAMETERS:,} parameters."
            )
        described = _Description({id(module): layer for layer, module in layers_with_modules(run.network)})
        layers = described.sequence(run.network.module)
    except UnknownLayerError as error:
        return found | {"unsupported": str(error)}
    source = _map_source(run)
    return found | {
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
        match module:
            case Residual():
                projection = None if module.projection is None else self.layer(module.projection)
                return {"kind": "residual", "body": self.sequence(module.body), "projection": projection}
            case nn.Conv2d():
                sizes = ("kernel_size", "stride", "padding", "dilation")
                kernel, stride, padding, dilation = (getattr(module, name)[0] for name in sizes)
                place = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
                return {
                    "kind": "conv",
                    "out": module.out_channels,
                    **place,
                    "groups": module.groups,
                    **self.both(module),
                }
            case nn.Linear():
                return {"kind": "linear", "out": module.out_features, **self.both(module)}
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return {"kind": "batch_norm", **self.scale_and_shift(module)}
            case nn.GroupNorm():
                return {"kind": "group_norm", "groups": module.num_groups, "eps": module.eps, **self.both(module)}
            case nn.InstanceNorm2d():
                return {"kind": "group_norm", "groups": module.num_features, "eps": module.eps, **self.both(module)}
            case nn.MaxPool2d():
                return {"kind": "max_pool", **_window(module)}
            case nn.AvgPool2d():
                return {"kind": "avg_pool", **_window(module)}
            case GlobalAvgPool2d():
                return {"kind": "global_avg_pool"}
            case nn.Flatten():
                return {"kind": "flatten"}
            case nn.LeakyReLU():
                return {"kind": "leaky_relu", "negative_slope": float(module.negative_slope)}
            case nn.ELU():
                return {"kind": "elu", "alpha": float(module.alpha)}
            case nn.PReLU():
                return {"kind": "prelu", "weight": self.tensor(module.weight)}
            case _ if isinstance(module, NOTHING):
                return {"kind": "identity"}
            case _ if type(module) in ACTIVATIONS:
                return {"kind": ACTIVATIONS[type(module)]}
        row = self.rows[id(module)]
        raise UnknownLayerError(
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


def _window(pool: nn.MaxPool2d | nn.AvgPool2d) -> dict[str, Any]:
    return {"kernel": pool.kernel_size, "stride": pool.stride, "padding": pool.padding}
