"""The update of the weights by the C++ kernels, for the optimizers that they have. See ``weight_update.h``.

torch's optimizer keeps the settings and the state. The kernels read and write them where they are. So schedulers and
checkpoints do not see a difference.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch

from mnist_lite.backends.weight_update import WeightUpdate

RULES: dict[type[torch.optim.Optimizer], int] = {
    torch.optim.SGD: 0,
    torch.optim.Adam: 1,
    torch.optim.AdamW: 1,
    torch.optim.RMSprop: 2,
}
"""``Rule`` in weight_update.h."""
UNSUPPORTED = ("amsgrad", "centered", "capturable", "differentiable")
"""Arguments of these optimizers that the kernels do not have."""


class ParameterGroup(ctypes.Structure):
    """``ParameterGroup`` in weight_update.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("rule", "nesterov", "decoupled_weight_decay", "maximize")),
        *((name, ctypes.c_double) for name in ("lr", "weight_decay", "momentum", "dampening", "beta1", "beta2", "eps")),
    )


class Parameter(ctypes.Structure):
    """``Parameter`` in weight_update.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("value", "grad", "momentum_buffer", "square_avg", "step", "average")),
        ("size", ctypes.c_int64),
        ("group", ctypes.c_int32),
    )


class AveragedBuffer(ctypes.Structure):
    """``AveragedBuffer`` in weight_update.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("value", "average")),
        ("size", ctypes.c_int64),
        ("is_integer", ctypes.c_int32),
    )


class UpdateSettings(ctypes.Structure):
    """``UpdateSettings`` in weight_update.h: the same fields in the same order."""

    _fields_ = tuple((name, ctypes.c_double) for name in ("l1", "clip_grad_norm", "decay"))


class KernelUpdate:
    """Does what a ``WeightUpdate`` does, in one pass over the parameters.

    torch makes the first update. It creates the state of the optimizer and of the average.
    """

    def __init__(self, update_weights: Callable[..., None], update: WeightUpdate) -> None:
        """``update_weights`` calls ``mnist_lite_update``. The kernels must have the optimizer of ``update``: ``is_supported``."""
        self._update_weights, self._torch_update = update_weights, update
        self._settings = UpdateSettings(update.l1, update.clip_grad_norm or 0.0, update.ema_decay or 0.0)
        self._arrays: _Arrays | None = None

    def __call__(self, finite: torch.Tensor) -> None:
        """See ``WeightUpdate``."""
        optimizer, average = self._torch_update.optimizer, self._torch_update.average
        if not finite:
            return
        if self._arrays is None:
            if len(optimizer.state) < sum(len(group["params"]) for group in optimizer.param_groups):
                self._torch_update(finite)
                return
            self._arrays = _Arrays(self._torch_update)
        self._arrays.read_settings(optimizer)
        self._update_weights(ctypes.byref(self._settings), *self._arrays.arguments)
        if average is not None:
            average.n_averaged += 1


def is_supported(optimizer: torch.optim.Optimizer) -> bool:
    """True if the kernels can do the step of ``optimizer`` with the arguments that it has."""
    return type(optimizer) in RULES and all(
        isinstance(group["lr"], float)
        and not any(group.get(key) for key in UNSUPPORTED)
        and (group.get("momentum") != 0 or type(optimizer) is not torch.optim.SGD)  # it would have no state
        for group in optimizer.param_groups
    )


class _Arrays:
    """The arguments of ``mnist_lite_update``: settings, and the addresses of parameters, gradients and state."""

    def __init__(self, update: WeightUpdate) -> None:
        optimizer = update.optimizer
        self._groups = (ParameterGroup * len(optimizer.param_groups))()
        averages: dict[torch.Tensor, torch.Tensor] = {}
        buffers: list[tuple[torch.Tensor, torch.Tensor]] = []
        if update.average is not None:
            averages = dict(zip(update.module.parameters(), update.average.module.parameters(), strict=True))
            buffers = list(zip(update.module.buffers(), update.average.module.buffers(), strict=True))
        parameters = [
            _parameter(p, number, optimizer.state[p], averages.get(p))
            for number, group in enumerate(optimizer.param_groups)
            for p in group["params"]
        ]
        averaged = [
            AveragedBuffer(_address(value), _address(average), value.numel(), not value.is_floating_point())
            for value, average in buffers
        ]
        self.arguments = (
            self._groups,
            (Parameter * len(parameters))(*parameters),
            len(parameters),
            (AveragedBuffer * len(averaged))(*averaged),
            len(averaged),
        )

    def read_settings(self, optimizer: torch.optim.Optimizer) -> None:
        """Reads the settings of the parameter groups. A scheduler changes them between the steps."""
        rule = RULES[type(optimizer)]
        decoupled = isinstance(optimizer, torch.optim.AdamW)
        for settings, group in zip(self._groups, optimizer.param_groups, strict=True):
            settings.rule, settings.decoupled_weight_decay = rule, decoupled
            settings.nesterov, settings.maximize = group.get("nesterov", False), group["maximize"]
            settings.lr, settings.weight_decay, settings.eps = group["lr"], group["weight_decay"], group.get("eps", 0.0)
            settings.momentum, settings.dampening = group.get("momentum", 0.0), group.get("dampening", 0.0)
            settings.beta1, settings.beta2 = group.get("betas", (0.0, group.get("alpha", 0.0)))


def _parameter(
    value: torch.Tensor, group: int, state: dict[str, torch.Tensor], average: torch.Tensor | None
) -> Parameter:
    mean = state.get("exp_avg", state.get("momentum_buffer"))
    square = state.get("exp_avg_sq", state.get("square_avg"))
    tensors = (value, value.grad, mean, square, state.get("step"), average)
    return Parameter(*map(_address, tensors), value.numel(), group)


def _address(tensor: torch.Tensor | None) -> int | None:
    assert tensor is None or (tensor.is_contiguous() and tensor.dtype in (torch.float32, torch.int64))
    return None if tensor is None else tensor.data_ptr()
