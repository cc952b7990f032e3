"""Real MNIST from a folder, or from torchvision's mirrors into that folder."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torchvision.datasets import MNIST
from torchvision.datasets.utils import check_integrity

from mnist_lite.data.split import Split
from mnist_lite.errors import UserError

MIRROR_TIMEOUT_SECONDS = 15.0
IMAGES = {"train": 60_000, "test": 10_000}
SIZES = {
    "train-images-idx3-ubyte": 16 + 60_000 * 784,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 784,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}


def load_mnist(root: Path) -> tuple[Split, Split]:
    """MNIST's train (60,000) and test (10,000) splits from ``root/MNIST/raw``, fetched into it when it has none.

    Extracted files and ``.gz`` files both do; the latter are verified by md5 and extracted, into a temporary folder if
    ``root`` cannot be written to.

    Raises:
        UserError: no files there and none to be had, or files that are not MNIST. No folder is made then.
    """
    raw = root / "MNIST" / "raw"
    new = [folder for folder in (raw, *raw.absolute().parents) if not folder.exists()]
    try:
        if _extracted(raw) or _writable(root):
            with _timeout(MIRROR_TIMEOUT_SECONDS):
                return _read(root)
        with tempfile.TemporaryDirectory(prefix="mnist-lite-") as scratch:
            shutil.copytree(raw, Path(scratch) / "MNIST" / "raw")
            return _read(Path(scratch))
    except (RuntimeError, OSError, ValueError, EOFError, AssertionError, TypeError) as error:
        reason = _what_is_wrong(root, raw) or str(error).splitlines()[0]
        for folder in new:  # innermost first; what torchvision made for files that did not come
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise UserError(f"data.root: no usable MNIST in {raw} ({reason}); {_ADVICE}") from error


def _what_is_wrong(root: Path, raw: Path) -> str:
    """The first file that is not as it should be, in words; empty if all seem well."""
    if root.exists() and not root.is_dir():
        return f"{root} is not a folder"
    files = [(raw / name, raw / name.removesuffix(".gz"), md5) for name, md5 in MNIST.resources]
    if not any(path.exists() for packed, plain, _ in files for path in (packed, plain)):
        return (
            "no files there, and no mirror answers" if _writable(root) else "no files there, and no permission to write"
        )
    for packed, plain, md5 in files:
        if plain.exists():
            if plain.stat().st_size != SIZES[plain.name]:
                return f"{plain.name} has {plain.stat().st_size} bytes instead of {SIZES[plain.name]}"
        elif not packed.exists():
            return f"{packed.name} is missing, and no mirror answers"
        elif not check_integrity(str(packed), md5):
            return f"{packed.name} is damaged: its md5 is not {md5}"
    return ""


_ADVICE = (
    "put the four *-ubyte.gz files of MNIST into <data.root>/MNIST/raw, set data.root or MNIST_LITE_DATA to where they are, "
    "or use data=digits (embedded) or data=auto"
)


def _read(root: Path) -> tuple[Split, Split]:
    splits = []
    for name, count in IMAGES.items():
        source = MNIST(str(root), train=name == "train", download=True)
        if source.data.shape != (count, 28, 28) or source.targets.shape != (count,):
            raise ValueError(f"the {name} images are {tuple(source.data.shape)}, not ({count}, 28, 28)")
        if int(source.targets.max()) > 9:
            raise ValueError(f"a label of the {name} split is {int(source.targets.max())}, not 0 to 9")
        splits.append(Split(source.data.unsqueeze(1).contiguous(), source.targets.to(torch.int64)))
    return splits[0], splits[1]


def _extracted(raw: Path) -> bool:
    return all((raw / name.removesuffix(".gz")).is_file() for name, _ in MNIST.resources)


def _writable(folder: Path) -> bool:
    """Whether ``folder``, or the nearest that exists above it, and its raw folder can be written to."""
    raw = folder / "MNIST" / "raw"
    nearest = next(path for path in (raw, *raw.absolute().parents) if path.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """torchvision opens its mirrors without a time limit; a network that swallows packets would hang the run."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
