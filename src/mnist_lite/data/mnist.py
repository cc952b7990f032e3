"""Reads real MNIST from a folder, or fetches it from torchvision's mirrors. Every byte is verified each time.

torchvision's own ``MNIST`` class is not used for this. It does not verify extracted files, it cannot read ``.gz`` files in a
read-only folder, and another process can see the files that it writes half-written.

The folder and the answer of a mirror can hold anything. The size of each file is known, so no more than that is ever read or
unpacked, and only regular files are read. A FIFO would make us wait, and a device has no end.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import math
import os
import stat
import time
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from mnist_lite import files
from mnist_lite.data.split import Split
from mnist_lite.errors import RunError, UnavailableError, UserError

MIRROR_TIMEOUT_SECONDS = 15.0
"""The longest time without a byte from a mirror."""
MIRROR_MAX_SECONDS = 300.0
"""The time limit for one file from a mirror. The largest has 10 MB."""
GZIP_START = b"\x1f\x8b"


@dataclass(frozen=True)
class IdxFile:
    """One of MNIST's four files: unsigned bytes after a header of 4 bytes and 4 more per dimension."""

    name: str
    shape: tuple[int, ...]
    md5: str
    """The official checksum of the unpacked file."""

    @property
    def size(self) -> int:
        """Bytes of the unpacked file: 16 + 784 n for n images, 8 + n for n labels."""
        return (16 if len(self.shape) > 1 else 8) + math.prod(self.shape)

    @property
    def packed_limit(self) -> int:
        """The most bytes of the packed file. Without compression, gzip adds 5 bytes to each block, and a header."""
        return self.size + 65_536


FILES = (
    IdxFile("train-images-idx3-ubyte", (60_000, 1, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
    IdxFile("train-labels-idx1-ubyte", (60_000,), "a25bea736e30d166cdddb491f175f624"),
    IdxFile("t10k-images-idx3-ubyte", (10_000, 1, 28, 28), "2646ac647ad5339dbf082846283269ea"),
    IdxFile("t10k-labels-idx1-ubyte", (10_000,), "27ae3e4e09519cfbb04c329615203637"),
)


def load_mnist(root: Path, download: bool = True) -> tuple[Split, Split]:
    """The splits train (60,000 images) and test (10,000 images) from ``root/MNIST/raw``.

    The folder can have extracted files or ``.gz`` files. Missing files are fetched. What was fetched or unpacked is saved in the
    folder if possible. Several processes can do this at the same time. With ``download=False`` the folder is only read: nothing
    is fetched or saved.

    Raises:
        UnavailableError: a file is missing and no mirror has it, or a file is damaged. No folder is created in this case.
    """
    raw = root / "MNIST" / "raw"
    try:
        train_images, train_labels, test_images, test_labels = (_load(raw, file, download) for file in FILES)
    except (OSError, UserError) as error:
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
        advice = (
            "put the four *-ubyte.gz files of MNIST into <data.root>/MNIST/raw, set data.root or MNIST_LITE_DATA to the folder "
            "that has them, or use data=digits (embedded) or data=auto"
            if download
            else "this folder is only read, and nothing is downloaded into it; give data.root=<folder with MNIST>"
        )
        raise UnavailableError(f"data.root: no usable MNIST in {raw} ({reason}); {advice}") from error
    return Split(train_images, train_labels.long()), Split(test_images, test_labels.long())


def _load(raw: Path, file: IdxFile, download: bool) -> torch.Tensor:
    path, packed = raw / file.name, raw / f"{file.name}.gz"
    if extracted := path.exists():
        content = _verify(_read(path, file.size), file, path.name)
    elif packed.exists():
        content = _unpack(_read(packed, file.packed_limit), file, packed.name)
    elif download:
        content = _fetch(file, packed.name)
    else:
        raise UserError(f"{packed.name} is missing")
    if download and not extracted:
        # A folder can be full or read-only. Then the next run does this again.
        with contextlib.suppress(OSError, RunError):
            raw.mkdir(parents=True, exist_ok=True)
            files.write(path, content)
    header = file.size - math.prod(file.shape)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header).view(file.shape)


def _read(path: Path, limit: int) -> bytes:
    """The content of the regular file ``path``, which has at most ``limit`` bytes. Links are followed.

    Raises:
        OSError: it cannot be read.
        UserError: it is not a regular file, or it is larger.
    """
    flags = os.O_NONBLOCK | os.O_NOCTTY  # to open a FIFO does not wait for its writer
    with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path.name} is not a regular file")
        if status.st_size > limit:
            raise UserError(f"{path.name} is damaged: it has {status.st_size:,} bytes; at most {limit:,} are expected")
        return file.read(limit + 1)  # the file may have grown


def _fetch(file: IdxFile, name: str) -> bytes:
    """The unpacked content of ``name`` from the first mirror that has the right file."""
    from torchvision.datasets import MNIST  # takes a second, and most runs have the files

    reason = "no mirrors"
    for mirror in MNIST.mirrors:
        try:
            return _unpack(_download(mirror + name, file.packed_limit), file, name)
        except (OSError, http.client.HTTPException, UserError) as error:
            reason = str(error) or type(error).__name__
    raise UserError(f"{name} is missing, and no mirror has it: {reason}")


def _download(address: str, limit: int) -> bytes:
    """What a mirror sends from ``address``, at most ``limit`` bytes in at most ``MIRROR_MAX_SECONDS``."""
    content, end = bytearray(), time.monotonic() + MIRROR_MAX_SECONDS
    with urllib.request.urlopen(address, timeout=MIRROR_TIMEOUT_SECONDS) as answer:
        while piece := answer.read1(65_536):
            content += piece
            if len(content) > limit:
                raise UserError(f"{address} is larger than {limit:,} bytes")
            if time.monotonic() > end:
                raise UserError(f"{address} takes longer than {MIRROR_MAX_SECONDS:g} s")
    return bytes(content)


def _unpack(packed: bytes, file: IdxFile, name: str) -> bytes:
    """The content of the gzip file ``packed``, which must be ``file``. Never unpacks much more than the size of ``file``."""
    if not packed.startswith(GZIP_START):
        kind = "a web page" if packed.lstrip().startswith(b"<") else "damaged"
        raise UserError(f"{name} is {kind}: it is not a gzip file")
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)  # 16: the format is gzip's
    try:
        content = member.decompress(packed, file.size + 1)
    except zlib.error as error:
        raise UserError(f"{name} is damaged: {error}") from error
    if len(content) > file.size:
        raise UserError(f"{name} is damaged: it unpacks to more than {file.size:,} bytes")
    if not member.eof:
        raise UserError(f"{name} is damaged: it ends too early")
    if member.unused_data:
        raise UserError(f"{name} is damaged: it has more after its end")
    return _verify(content, file, name)


def _verify(content: bytes, file: IdxFile, name: str) -> bytes:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != file.md5:
        raise UserError(f"{name} is damaged: its md5 is {md5} ({len(content):,} bytes), and should be {file.md5}")
    return content
