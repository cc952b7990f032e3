"""Class maps: which parts of an image speak for a class.

There are two kinds:

- *Exact*: the network ends with a global average pool, and only linear layers come after it. Then the logit of a class is the
  mean of a map with one value per position. This map is the class map (Zhou et al., 2016, "Learning Deep Features for
  Discriminative Localization").
- *Grad-CAM* for the other networks: the maps of a layer are added, each weighted with the mean gradient of the logit. Negative
  sums become zero (Selvaraju et al., 2017, "Grad-CAM").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mnist_lite.insight.saved_run import SavedRun
from mnist_lite.model.build import INPUT_SHAPE
from mnist_lite.model.layers import GlobalAvgPool2d, Residual

MIN_SIDE = 7
"""Cells along the side of a map that shows places. Grad-CAM uses the last layer that has such maps."""
LINEAR = (nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.Identity)
"""Layers that are linear for one value per channel in evaluation, beside convolutions."""
PLACED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class ClassMaps:
    """The class maps of images for all classes, and where their cells lie in the image."""

    maps: torch.Tensor
    """``(N, 10, H, W)`` float32. Exact maps: the mean over H and W is the logit. Grad-CAM: all values are at least 0."""
    first: float
    """The pixel that the centre of the first row and of the first column lies on. Pixel 0 is the first."""
    jump: int
    """The distance between neighbouring centres, in pixels."""
    field: int
    """The side of the square of pixels that a value depends on."""
    exact: bool
    """False: Grad-CAM."""

    @property
    def extent(self) -> tuple[float, float]:
        """Where the maps lie in the image, from left to right and from top to bottom: each cell around its centre."""
        return self.first - self.jump / 2, self.first + (self.maps.shape[2] - 0.5) * self.jump

    @property
    def small(self) -> bool:
        """True if the maps have too few cells to show places."""
        return min(self.maps.shape[2:]) < MIN_SIDE


def exact_class_maps(run: SavedRun, images: torch.Tensor) -> ClassMaps | None:
    """The exact class maps of ``images`` ``(N, 1, 28, 28)`` uint8. None: the network does not have them."""
    modules = list(run.network.module)
    features, pool = _inputs(run, images), _global_pool(modules, run)
    if pool is None:
        return None
    with torch.inference_mode():
        for module in modules[:pool]:
            features = module(features)
        count, _, height, width = features.shape
        # the layers after the pool see each position as an image of its own
        cells = features.permute(0, 2, 3, 1).reshape(count * height * width, -1, 1, 1)
        for module in modules[pool + 1 :]:
            cells = module(cells)
        maps = cells.reshape(count, height, width, -1).permute(0, 3, 1, 2)
    return ClassMaps(maps, *_geometry(modules[:pool]), exact=True)


def grad_cam(run: SavedRun, images: torch.Tensor) -> ClassMaps | None:
    """The Grad-CAM maps of ``images`` ``(N, 1, 28, 28)`` uint8. None: the network has no map with a side of ``MIN_SIDE``.

    The maps are made of the last layer, outside of residual blocks, that is no pool and whose maps have this side.
    """
    modules = list(run.network.module)
    outputs = [_inputs(run, images)]
    with torch.inference_mode():
        for module in modules:
            outputs.append(module(outputs[-1]))
    large = [
        i
        for i, output in enumerate(outputs[1:])
        if output.ndim == 4 and min(output.shape[2:]) >= MIN_SIDE and not isinstance(modules[i], PLACED[1:])
    ]
    if not large:
        return None
    layer = large[-1]
    features = outputs[layer + 1].clone().requires_grad_()
    with torch.enable_grad():
        logits = features
        for module in modules[layer + 1 :]:
            logits = module(logits)
        maps = []
        for logit in logits.sum(0):  # images do not influence each other
            (gradient,) = torch.autograd.grad(logit, features, retain_graph=True)
            weights = gradient.mean((2, 3), keepdim=True)
            maps.append((weights * features.detach()).sum(1).relu())
    return ClassMaps(torch.stack(maps, 1), *_geometry(modules[: layer + 1]), exact=False)


def _inputs(run: SavedRun, images: torch.Tensor) -> torch.Tensor:
    return (images.float() / 255 - run.data["mean"]) / run.data["std"]


def _global_pool(modules: Sequence[nn.Module], run: SavedRun) -> int | None:
    """The index of the global average pool, if its input is larger than 1 x 1 and only linear layers come after it."""
    with torch.inference_mode():
        x = torch.zeros(1, *INPUT_SHAPE)
        for i, module in enumerate(modules):
            shape, x = x.shape, module(x)
            if len(shape) == 4 and math.prod(shape[2:]) > 1 and _is_global_pool(module, shape):
                return i if all(_is_linear(later) for later in modules[i + 1 :]) else None
    return None


def _is_global_pool(module: nn.Module, shape: Sequence[int]) -> bool:
    """Whether ``module`` averages all positions of an input of ``shape`` ``(N, C, H, W)``."""
    if isinstance(module, GlobalAvgPool2d):
        return True
    if not isinstance(module, nn.AvgPool2d) or module.padding != 0:
        return False
    return module.kernel_size == shape[2] == shape[3]


def _is_linear(module: nn.Module) -> bool:
    """Whether ``module`` is linear, plus a constant, for maps of one value per channel."""
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1) and module.padding == (0, 0)
    return isinstance(module, LINEAR)


def _geometry(modules: Sequence[nn.Module]) -> tuple[float, int, int]:
    """The centre of the first value, the distance between neighbouring values, and their field, in pixels, after ``modules``."""
    first, jump, field = 0.0, 1, 1
    for module in _path(modules):
        kernel, stride, padding = (_side(getattr(module, name)) for name in ("kernel_size", "stride", "padding"))
        reach = (kernel - 1) * _side(getattr(module, "dilation", 1))
        first += (reach / 2 - padding) * jump
        field += reach * jump
        jump *= stride
    return first, jump, field


def _path(modules: Sequence[nn.Module]) -> list[nn.Module]:
    """The convolutions and pools on the way through ``modules``. Of a residual block, those of its body."""
    found: list[nn.Module] = []
    for module in modules:
        if isinstance(module, Residual):
            found += _path(list(module.body))
        elif isinstance(module, PLACED):
            found.append(module)
    return found


def _side(value: int | tuple[int, int]) -> int:
    return value if isinstance(value, int) else value[0]
