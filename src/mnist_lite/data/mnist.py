"""Reads real MNIST from a folder, or fetches it from torchvision's mirrors. Every byte is verified each time.

torchvision's own ``MNIST`` class is not used for this. It does not verify extracted files, it cannot read ``.gz`` files in a
read-only folder, and another process can see the files that it writes half-written.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import math
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from mnist_lite import files
from mnist_lite.data.split import Split
from mnist_lite.errors import RunError, UnavailableError, UserError

MIRROR_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class IdxFile:
    """One of MNIST's four files: unsigned bytes after a header of 4 bytes and 4 more per dimension."""

    name: str
    shape: tuple[int, ...]
    md5: str
    """The official checksum of the unpacked file."""


FILES = (
    IdxFile("train-images-idx3-ubyte", (60_000, 1, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
    IdxFile("train-labels-idx1-ubyte", (60_000,), "a25bea736e30d166cdddb491f175f624"),
    IdxFile("t10k-images-idx3-ubyte", (10_000, 1, 28, 28), "2646ac647ad5339dbf082846283269ea"),
    IdxFile("t10k-labels-idx1-ubyte", (10_000,), "27ae3e4e09519cfbb04c329615203637"),
)


def load_mnist(root: Path) -> tuple[Split, Split]:
    """The splits train (60,000 images) and test (10,000 images) from ``root/MNIST/raw``.

    The folder can have extracted files or ``.gz`` files. Missing files are fetched. What was fetched or unpacked is saved in the
    folder if possible. Several processes can do this at the same time.

    Raises:
        UnavailableError: a file is missing and no mirror has it, or a file is damaged. No folder is created in this case.
    """
    raw = root / "MNIST" / "raw"
    try:
        train_images, train_labels, test_images, test_labels = (_load(raw, file) for file in FILES)
    except (OSError, UserError) as error:
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
        raise UnavailableError(
            f"data.root: no usable MNIST in {raw} ({reason}); put the four *-ubyte.gz files of MNIST into <data.root>/MNIST/raw, "
            "set data.root or MNIST_LITE_DATA to the folder that has them, or use data=digits (embedded) or data=auto"
        ) from error
    return Split(train_images, train_labels.long()), Split(test_images, test_labels.long())


def _load(raw: Path, file: IdxFile) -> torch.Tensor:
    path, packed = raw / file.name, raw / f"{file.name}.gz"
    if path.exists():
        content = _verify(path.read_bytes(), file, path.name)
    else:
        content = _unpack(packed.read_bytes(), file, packed.name) if packed.exists() else _fetch(file, packed.name)
        with contextlib.suppress(
            OSError, RunError
        ):  # a folder that is full or read-only; then the next run does this again
            raw.mkdir(parents=True, exist_ok=True)
            files.write(path, content)
    header = len(content) - math.prod(file.shape)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header).view(file.shape)


def _fetch(file: IdxFile, name: str) -> bytes:
    """The unpacked content of ``name`` from the first mirror that has the right file."""
    from torchvision.datasets import MNIST  # takes a second, and most runs have the files

    reason = "no mirrors"
    for mirror in MNIST.mirrors:
        try:
            with urllib.request.urlopen(mirror + name, timeout=MIRROR_TIMEOUT_SECONDS) as answer:
                return _unpack(answer.read(), file, name)
        except (OSError, http.client.HTTPException, UserError) as error:
            reason = str(error) or type(error).__name__
    raise UserError(f"{name} is missing, and no mirror has it: {reason}")


def _unpack(packed: bytes, file: IdxFile, name: str) -> bytes:
    try:
        content = gzip.decompress(packed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        kind = "a web page" if packed.lstrip().startswith(b"<") else "damaged"
        raise UserError(f"{name} is {kind}: {error}") from error
    return _verify(content, file, name)


def _verify(content: bytes, file: IdxFile, name: str) -> bytes:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != file.md5:
        raise UserError(f"{name} is damaged: its md5 is {md5} ({len(content):,} bytes), and should be {file.md5}")
    return content
