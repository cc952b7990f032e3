"""Calls of a torch optimizer that do not import torch's compiler.

The first call of most methods of an optimizer imports ``torch._dynamo``, a part of ``torch.compile``. The import takes 1 to 2 s.
Nothing is compiled here, so the training of a small network would start later for nothing.
"""

from __future__ import annotations

import inspect

import torch
from torch.optim import Optimizer


def skip_compiler_import() -> None:
    """After this call, an optimizer does not import torch's compiler when it is created, or when its state is read or set.

    torch wraps these methods with a function of ``torch/_compile.py``. At its first call, this function asks the compiler for a
    version of the method that is never compiled. It keeps this version in the attribute ``__dynamo_disable``. Nothing is
    compiled here, so we put the method itself there. If a version of torch has no such wrapper, nothing changes.
    """
    for method in vars(Optimizer).values():
        wrapper = getattr(method, "__code__", None)
        if wrapper is not None and wrapper.co_filename == torch._compile.__file__:
            wrapped = inspect.unwrap(method)
            if not hasattr(wrapped, "__dynamo_disable"):
                setattr(wrapped, "__dynamo_disable", wrapped)


def step(optimizer: Optimizer) -> None:
    """``optimizer.step()``, without the import of torch's compiler. The optimizer's hooks are not called."""
    with torch.set_grad_enabled(optimizer.defaults.get("differentiable", False)):
        inspect.unwrap(type(optimizer).step)(optimizer)
    optimizer._opt_called = True  # type: ignore[attr-defined]  # torch's schedulers read it: they warn if they step first
