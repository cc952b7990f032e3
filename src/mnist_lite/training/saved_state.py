"""Checks a saved state against the state of the object that it is for.

torch checks only a part of what it loads. A wrong value would cause an error in a later step, or none at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

MAX_NUMBER = 1e15


class WrongStateError(ValueError):
    """A saved state does not fit. The message names the first value that does not."""


def check_state(value: Any, example: Any, where: str) -> None:
    """Checks that ``value`` has the same structure as ``example``.

    Dicts must have the same keys, and lists the same length. Tensors must have the same shape, and texts must be equal.
    If the number in ``example`` is finite, the number must be finite. If it is not negative, the number must not be
    negative. ``None`` in ``example`` stands for a number that is not known yet.

    Args:
        value: What was saved: tensors and plain values.
        example: A state of the object that ``value`` is for.
        where: The name of the state, for the message.

    Raises:
        WrongStateError: it has another structure.
    """
    if isinstance(example, Mapping):
        if not isinstance(value, Mapping) or value.keys() != example.keys():
            raise WrongStateError(f"{where} has different keys")
        for key, part in value.items():
            check_state(part, example[key], f"{where}.{key}")
    elif isinstance(example, list | tuple):
        if not isinstance(value, list | tuple) or len(value) != len(example):
            raise WrongStateError(f"{where} does not have {len(example)} values")
        for i, part in enumerate(value):
            check_state(part, example[i], f"{where}.{i}")
    elif not _fits(value, example):
        raise WrongStateError(f"{where} does not fit: it is {value!r:.60}, and a value like {example!r:.60} is needed")


def _fits(value: Any, example: Any) -> bool:
    if isinstance(example, torch.Tensor):
        same_kind = isinstance(value, torch.Tensor) and value.is_floating_point() == example.is_floating_point()
        return same_kind and value.shape == example.shape
    if isinstance(example, int | float):
        low = 0 if example >= 0 else -MAX_NUMBER
        return isinstance(value, int | float) and (low <= value <= MAX_NUMBER or not math.isfinite(example))
    if example is None:
        return isinstance(value, int | float | None)
    return bool(value == example)
