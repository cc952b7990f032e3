"""mnist-lite: design, train, compare and understand small CNNs on MNIST.

From Python:

    import mnist_lite as ml
    run = ml.load("runs/<run>")             # or "latest", or "zoo:era4"
    run.network(images)                     # logits (N, 10) for images (N, 1, 28, 28) uint8
    run.metrics                             # columns, for pandas.DataFrame
    run.config                              # the config as nested dicts
    ml.fit(["experiment=era4", "epochs=1"]) # trains, and returns the run
    ml.read_digit("photo.jpg")              # a picture as MNIST has it

The names are loaded when they are first used: importing the package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_lite.api import Run, fit, load, read_digit

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "fit", "load", "read_digit"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mnist_lite import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
