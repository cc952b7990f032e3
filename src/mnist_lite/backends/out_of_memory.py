"""When memory runs out: how that is known, and which batch size would have fitted."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

_CPU_WORDS = ("can't allocate memory", "not enough memory")


def ran_out(error: BaseException) -> bool:
    """Whether ``error`` says that the device or the machine has no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _CPU_WORDS)


def largest_that_fits(trial: Callable[[int], None], batch_size: int) -> int | None:
    """The largest of ``batch_size`` halved again and again for which ``trial`` does not run out of memory; None if none.

    It is tried and not reckoned: what a network needs depends on the algorithms that the device's libraries choose.
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
            if not ran_out(error):
                raise
    return None
