"""The loop ``jax`` of ``bench peers=all``: the same training in JAX, as one jitted scan over steps.

The data stay on the device. Rotation, network and optimizer are inside the scan. Two choices come from measurements on a CPU with
era4 (docs/performance.md): a convolution is one matrix product over shifted copies of its input, because ``lax.conv`` is slow
inside a scan, and the generator of random numbers is ``rbg``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import torch
from jax import lax
from jax.scipy.ndimage import map_coordinates
from torch import nn

from mnist_lite.backends.device import set_threads
from mnist_lite.benchmark.ab import Loop, Step
from mnist_lite.benchmark.loops import host_memory
from mnist_lite.config.entry import parse_entry
from mnist_lite.config.schema import Config
from mnist_lite.data.augment.pipeline import SUPPLIED, TRANSFORMS
from mnist_lite.data.dataset import load
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from mnist_lite.model.layers import GlobalAvgPool2d
from mnist_lite.training.optimizer import build_optimizer

SCAN_STEPS = 10
"""Steps of one scan: so few that the time to the first step is little more than the time to compile."""

Array = Any  # jax.Array; without JAX, mypy does not know it
Values = dict[str, Array]
Layer = Callable[[Values, Values, Array, Array], tuple[Array, Values]]
"""``layer(parameters, statistics, x, key)``: the output and the new running statistics. ``x`` is ``(N, H, W, C)``."""


def jax_loop(config: Config, _images: int) -> Loop:
    """The loop in JAX with the network, optimizer and rotation of ``config``. Its learning rate is constant.

    Raises:
        UserError: a part of ``config`` that this loop does not have.
    """
    threads = set_threads(config.threads)
    os.environ["NPROC"] = str(threads)  # XLA reads it when the first array is made
    data, degrees = load(config.data), _degrees(config.augment["transforms"])
    network = build(config.model, config.init).module
    layers, parameters, statistics = zip(*map(_layer, network), strict=True)
    optimizer = _optimizer(config.optimizer, network)
    images, labels = jnp.asarray(data.train.images[:, 0].numpy()), jnp.asarray(data.train.labels.numpy())

    def train_step(state: Any, images: Array, labels: Array, indices: Array) -> tuple[Any, Array]:
        parameters, statistics, moments, key = state
        key, for_angles, for_dropout = jax.random.split(key, 3)
        pixels = images[indices].astype(jnp.float32) / 255
        if degrees:
            angles = jax.random.uniform(for_angles, indices.shape, minval=-degrees, maxval=degrees)
            pixels = jax.vmap(_rotate)(pixels, angles)
        x = ((pixels - data.mean) / data.std)[..., None]

        def loss_of(parameters: Any) -> tuple[Array, Any]:
            logits, new = _forward(layers, parameters, statistics, x, for_dropout)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[indices]).mean(), new

        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters)
        updates, moments = optimizer.update(gradients, moments, parameters)
        return (optax.apply_updates(parameters, updates), statistics, moments, key), loss

    @partial(jax.jit, donate_argnums=0)
    def train_steps(state: Any, images: Array, labels: Array, indices: Array) -> tuple[Any, Array]:
        result: tuple[Any, Array] = lax.scan(
            lambda state, batch: train_step(state, images, labels, batch), state, indices
        )
        return result

    def steps() -> Iterator[Step]:
        state = (parameters, statistics, optimizer.init(parameters), jax.random.key(config.seed, impl="rbg"))
        size, order = SCAN_STEPS * config.batch_size, jax.random.key(config.seed)
        while True:
            order, own = jax.random.split(order)
            numbers = jax.random.permutation(own, len(labels))
            for start in range(0, len(labels) - size + 1, size):
                batches = numbers[start : start + size].reshape(SCAN_STEPS, -1)
                state, losses = train_steps(state, images, labels, batches)
                yield Step(size, losses.mean())

    description = f"{jax.devices()[0].platform} ({threads} threads), fp32, one jitted scan over {SCAN_STEPS} steps"
    return Loop(description, steps(), lambda: 0, lambda: None, host_memory)


def _forward(layers: Any, parameters: Any, statistics: Any, x: Array, key: Array) -> tuple[Array, Any]:
    """The logits ``(N, 10)`` in training mode, and the new running statistics."""
    new = []
    for number, layer in enumerate(layers):
        x, own = layer(parameters[number], statistics[number], x, jax.random.fold_in(key, number))
        new.append(own)
    return x.reshape(len(x), -1), tuple(new)


def _rotate(image: Array, degrees: Array) -> Array:
    """One image, rotated around its centre. Bilinear; black outside of the image."""
    middle = (jnp.asarray(image.shape) - 1) / 2
    y, x = jnp.indices(image.shape) - middle[:, None, None]
    cos, sin = jnp.cos(jnp.radians(degrees)), jnp.sin(jnp.radians(degrees))
    return map_coordinates(image, [middle[0] + sin * x + cos * y, middle[1] + cos * x - sin * y], order=1)


def _degrees(transforms: list[Any]) -> float:
    """The largest angle of the rotation; 0: no augmentation.

    Raises:
        UserError: another augmentation.
    """
    entries = [parse_entry(item, TRANSFORMS, "augment.transforms", SUPPLIED) for item in transforms]
    if len(entries) > 1 or any(entry.word != "rotate" for entry in entries):
        raise UserError(
            "peers: the loop in JAX has rotate and no other augmentation; use augment=rotation or peers without jax"
        )
    return float(sum(entry.arguments["degrees"] for entry in entries))


def _optimizer(config: dict[str, Any], network: nn.Module) -> optax.GradientTransformation:
    """optax's optimizer for ``config``.

    Raises:
        UserError: an optimizer or an argument that this loop does not have.
    """
    values = build_optimizer(config, network).defaults  # with every argument checked
    if any(values.get(key) for key in ("amsgrad", "maximize", "dampening")):
        raise UserError("peers: the loop in JAX has no amsgrad, maximize and dampening")
    decay_all = config.get("decay_bias_and_norm", True)

    def decayed(parameters: Any) -> Any:
        return jax.tree.map(lambda values: decay_all or values.ndim > 1, parameters)

    lr, decay = values["lr"], optax.add_decayed_weights(values.get("weight_decay", 0.0), decayed)
    if config["name"] == "SGD":
        return optax.chain(decay, optax.sgd(lr, values["momentum"] or None, values["nesterov"]))
    if config["name"] not in ("Adam", "AdamW"):
        raise UserError(f"peers: the loop in JAX has SGD, Adam and AdamW, not {config['name']}")
    moments = optax.scale_by_adam(*values["betas"], values["eps"])
    parts = (moments, decay) if config["name"] == "AdamW" else (decay, moments)
    return optax.chain(*parts, optax.scale_by_learning_rate(lr))


def _layer(layer: nn.Module) -> tuple[Layer, Values, Values]:
    """The layer as a function, its parameters, and its running statistics.

    Raises:
        UserError: a layer that this loop does not have.
    """
    if isinstance(layer, nn.Conv2d):
        return _convolution(layer)
    if type(layer) is nn.BatchNorm2d:
        return _batch_norm(layer)
    function = next((function for kind, function in STATELESS.items() if isinstance(layer, kind)), None)
    if function:
        return partial(_stateless, partial(function, layer)), {}, {}
    raise UserError(f"peers: the loop in JAX has conv, batch_norm, relu, dropout and pools, not {type(layer).__name__}")


def _stateless(
    function: Callable[[Array, Array], Array], _parameters: Values, statistics: Values, x: Array, key: Array
) -> tuple[Array, Values]:
    return function(x, key), statistics


def _array(tensor: torch.Tensor) -> Array:
    return jnp.array(tensor.detach().numpy())  # a copy: the scan reuses the memory of its arguments


def _convolution(layer: nn.Conv2d) -> tuple[Layer, Values, Values]:
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    kernel, stride, padding, dilation = (int(size[0]) for size in sizes)
    groups = layer.groups
    # (out, in of a group, y, x) to (tap, group, in, out of a group)
    weight = _array(layer.weight).reshape(groups, -1, layer.in_channels // groups, kernel**2).transpose(3, 0, 2, 1)
    parameters = {"weight": weight}
    if layer.bias is not None:
        parameters["bias"] = _array(layer.bias)

    def convolve(parameters: Values, statistics: Values, x: Array, key: Array) -> tuple[Array, Values]:
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        span = dilation * (kernel - 1)
        height, width = x.shape[1] - span, x.shape[2] - span
        shifted = [
            x[:, y : y + height : stride, z : z + width : stride]
            for y in range(0, span + 1, dilation)
            for z in range(0, span + 1, dilation)
        ]
        patches = jnp.stack(shifted, 3)
        patches = patches.reshape(*patches.shape[:4], groups, -1)
        out = jnp.einsum("nhwtgi,tgio->nhwgo", patches, parameters["weight"])
        return out.reshape(*out.shape[:3], -1) + parameters.get("bias", 0.0), statistics

    return convolve, parameters, {}


def _batch_norm(layer: nn.BatchNorm2d) -> tuple[Layer, Values, Values]:
    assert layer.running_mean is not None and layer.running_var is not None and layer.momentum is not None
    parameters = {"weight": _array(layer.weight), "bias": _array(layer.bias)}
    running, momentum, eps = (
        {"mean": _array(layer.running_mean), "var": _array(layer.running_var)},
        layer.momentum,
        layer.eps,
    )

    def normalise(parameters: Values, statistics: Values, x: Array, key: Array) -> tuple[Array, Values]:
        mean = x.mean((0, 1, 2))
        var = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
        count = x.size // x.shape[-1]
        new = {"mean": mean, "var": var * count / (count - 1)}
        new = jax.tree.map(lambda old, value: old + momentum * (lax.stop_gradient(value) - old), statistics, new)
        return (x - mean) * (lax.rsqrt(var + eps) * parameters["weight"]) + parameters["bias"], new

    return normalise, parameters, running


def _dropout(layer: nn.Dropout, x: Array, key: Array) -> Array:
    keep = 1 - layer.p
    return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / max(keep, 1e-9), 0) if layer.p else x


def _pool(layer: nn.MaxPool2d | nn.AvgPool2d, x: Array, start: float, reduce: Any) -> Array:
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(x, start, reduce, (1, kernel, kernel, 1), (1, stride, stride, 1), sides)


STATELESS: dict[type[nn.Module], Callable[[Any, Array, Array], Array]] = {
    nn.ReLU: lambda _layer, x, _key: jax.nn.relu(x),
    nn.Dropout: _dropout,
    nn.MaxPool2d: lambda layer, x, _key: _pool(layer, x, -jnp.inf, lax.max),
    nn.AvgPool2d: lambda layer, x, _key: _pool(layer, x, 0.0, lax.add) / layer.kernel_size**2,
    GlobalAvgPool2d: lambda _layer, x, _key: x.mean((1, 2), keepdims=True),
    nn.Flatten: lambda _layer, x, _key: x.transpose(0, 3, 1, 2).reshape(len(x), 1, 1, -1),  # in torch's order
    nn.Identity: lambda _layer, x, _key: x,
}
"""Layers without parameters: ``function(layer, x, key)``."""
