"""Recognises out-of-memory errors, and finds a batch size that fits."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

_CPU_MESSAGES = ("can't allocate memory", "not enough memory")
_ONEDNN_MESSAGE = "could not create a primitive"
"""oneDNN, torch's library for convolutions, could not get memory for the machine code of a convolution. It does not say so. An
operation that it does not have is another message: "could not create a primitive descriptor for ..."."""


def is_out_of_memory(error: BaseException) -> bool:
    """True if ``error`` means that the device or the machine has no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return str(error) == _ONEDNN_MESSAGE or any(message in str(error) for message in _CPU_MESSAGES)


def largest_that_fits(trial: Callable[[int], None], batch_size: int) -> int | None:
    """Halves ``batch_size`` until ``trial`` does not run out of memory. Returns None if no batch size fits.

    The memory that a step needs cannot be computed: it depends on the algorithms that the libraries of the device choose.
    """
    while batch_size > 1:
        batch_size //= 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            trial(batch_size)
            return batch_size
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
    return None
