"""Class maps: how much each part of an image contributes to a class.

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

from mnist_lite.data.split import CLASSES
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


@dataclass(frozen=True)
class MapSource:
    """The maps of a network that class maps are made of, and where their cells lie in the image. See ``ClassMaps``."""

    layers: int
    """The number of layers, outside of residual blocks, up to these maps."""
    side: int
    """The number of cells along a side of the maps."""
    first: float
    jump: int
    field: int
    exact: bool

    @property
    def small(self) -> bool:
        """True if the maps have too few cells to show places."""
        return self.side < MIN_SIDE


def exact_source(run: SavedRun) -> MapSource | None:
    """The source of exact class maps. None: the network does not have them."""
    modules = list(run.network.module)
    for i, (module, shape) in enumerate(zip(modules, _input_shapes(modules), strict=True)):
        if len(shape) == 3 and math.prod(shape[1:]) > 1 and _is_global_pool(module, shape):
            if all(_is_linear(later) for later in modules[i + 1 :]):
                return MapSource(i, min(shape[1:]), *_geometry(modules[:i]), exact=True)
            return None
    return None


def grad_cam_source(run: SavedRun) -> MapSource | None:
    """The source of Grad-CAM maps: the last layer that is no pool and has maps of ``MIN_SIDE``. None: there is none."""
    modules = list(run.network.module)
    shapes = [*_input_shapes(modules)[1:], (CLASSES,)]
    for i in reversed(range(len(modules))):
        shape = shapes[i]
        if len(shape) == 3 and min(shape[1:]) >= MIN_SIDE and not isinstance(modules[i], PLACED[1:]):
            return MapSource(i + 1, min(shape[1:]), *_geometry(modules[: i + 1]), exact=False)
    return None


def exact_class_maps(run: SavedRun, images: torch.Tensor) -> ClassMaps | None:
    """The exact class maps of ``images`` ``(N, 1, 28, 28)`` uint8. None: the network does not have them."""
    source = exact_source(run)
    if source is None:
        return None
    modules, features = list(run.network.module), _inputs(run, images)
    with torch.inference_mode():
        for module in modules[: source.layers]:
            features = module(features)
        count, _, height, width = features.shape
        # the layers after the pool see each position as an image of its own
        cells = features.permute(0, 2, 3, 1).reshape(count * height * width, -1, 1, 1)
        for module in modules[source.layers + 1 :]:
            cells = module(cells)
        maps = cells.reshape(count, height, width, -1).permute(0, 3, 1, 2)
    return ClassMaps(maps, source.first, source.jump, source.field, exact=True)


def grad_cam(run: SavedRun, images: torch.Tensor) -> ClassMaps | None:
    """The Grad-CAM maps of ``images`` ``(N, 1, 28, 28)`` uint8. None: the network has no map with a side of ``MIN_SIDE``."""
    source = grad_cam_source(run)
    if source is None:
        return None
    modules, features = list(run.network.module), _inputs(run, images)
    with torch.inference_mode():
        for module in modules[: source.layers]:
            features = module(features)
    features = features.clone().requires_grad_()
    with torch.enable_grad():
        logits = features
        for module in modules[source.layers :]:
            logits = module(logits)
        maps = []
        for logit in logits.sum(0):  # images do not influence each other
            (gradient,) = torch.autograd.grad(logit, features, retain_graph=True)
            weights = gradient.mean((2, 3), keepdim=True)
            maps.append((weights * features.detach()).sum(1).relu())
    return ClassMaps(torch.stack(maps, 1), source.first, source.jump, source.field, exact=False)


def _inputs(run: SavedRun, images: torch.Tensor) -> torch.Tensor:
    return (images.float() / 255 - run.data["mean"]) / run.data["std"]


def _input_shapes(modules: Sequence[nn.Module]) -> list[tuple[int, ...]]:
    """The shape of the input of each module for one image."""
    shapes = []
    with torch.inference_mode():
        x = torch.zeros(1, *INPUT_SHAPE)
        for module in modules:
            shapes.append(tuple(x.shape[1:]))
            x = module(x)
    return shapes


def _is_global_pool(module: nn.Module, shape: Sequence[int]) -> bool:
    """Whether ``module`` averages all positions of an input of ``shape`` ``(C, H, W)``."""
    if isinstance(module, GlobalAvgPool2d):
        return True
    if not isinstance(module, nn.AvgPool2d) or module.padding != 0:
        return False
    return module.kernel_size == shape[1] == shape[2]


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
