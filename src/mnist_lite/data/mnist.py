"""Real MNIST from a folder, or from torchvision's mirrors into that folder; every byte that is used is verified."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import socket
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mnist_lite import files
from mnist_lite.data.split import Split
from mnist_lite.errors import RunError, UnavailableError, UserError
from mnist_lite.process import startup

MIRROR_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class File:
    """One of the four files: its header's length, its shape, and the official md5 packed and unpacked."""

    name: str
    shape: tuple[int, ...]
    packed_md5: str
    md5: str

    @property
    def header(self) -> bytes:
        """IDX: two zeros, 8 for unsigned bytes, the number of dimensions, and each of them as 32 bits, big-endian."""
        return bytes((0, 0, 8, len(self.shape))) + b"".join(size.to_bytes(4, "big") for size in self.shape)

    @property
    def size(self) -> int:
        """Bytes, unpacked."""
        return len(self.header) + torch.Size(self.shape).numel()


FILES = tuple(
    File(*facts)
    for facts in (
        (
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        ("train-labels-idx1-ubyte", (60_000,), "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
        (
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "9fb629c4189551a2d022fa330f9573f3",
            "2646ac647ad5339dbf082846283269ea",
        ),
        ("t10k-labels-idx1-ubyte", (10_000,), "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    )
)


def load_mnist(root: Path) -> tuple[Split, Split]:
    """MNIST's train (60,000) and test (10,000) splits from ``root/MNIST/raw``, fetched into it when it has none.

    Extracted files and ``.gz`` files both do; the md5 of what is read is verified each time (0.1 s). What is fetched or
    extracted appears under its name only when it is whole, so any number of processes can do it at once.

    Raises:
        UnavailableError: no files there and none to be had, or files that are not MNIST. No folder is made then.
    """
    raw = root / "MNIST" / "raw"
    try:
        train, train_labels, test, test_labels = (_tensor(file, _content(raw, file)) for file in FILES)
    except (OSError, UserError) as error:
        reason = str(error) if isinstance(error, UserError) else f"{error.strerror}: {error.filename}"
        raise UnavailableError(f"data.root: no usable MNIST in {raw} ({reason}); {_ADVICE}") from error
    return Split(train.unsqueeze(1), train_labels.long()), Split(test.unsqueeze(1), test_labels.long())


_ADVICE = (
    "put the four *-ubyte.gz files of MNIST into <data.root>/MNIST/raw, set data.root or MNIST_LITE_DATA to where they are, "
    "or use data=digits (embedded) or data=auto"
)


def _tensor(file: File, content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(file.header)).view(file.shape)


def _content(raw: Path, file: File) -> bytes:
    """The bytes of ``file`` as extracted, verified."""
    plain, packed = raw / file.name, raw / f"{file.name}.gz"
    if plain.exists():
        content = plain.read_bytes()
        if _md5(content) != file.md5:
            raise UserError(f"{plain.name} {_what_is_wrong(content, file, packed=False)}")
        return content
    compressed = packed.read_bytes() if packed.exists() else _fetch(packed, file)
    if _md5(compressed) != file.packed_md5:
        raise UserError(f"{packed.name} {_what_is_wrong(compressed, file, packed=True)}")
    content = gzip.decompress(compressed)
    with contextlib.suppress(RunError):  # a folder that is full or for reading only; it only costs time
        files.write(plain, content)
    return content


def _what_is_wrong(content: bytes, file: File, packed: bool) -> str:
    digest, wanted = _md5(content), file.packed_md5 if packed else file.md5
    owners = {md5: other.name + end for other in FILES for md5, end in ((other.md5, ""), (other.packed_md5, ".gz"))}
    start = content[:4]
    signs = (
        (digest in owners, f"holds what belongs into {owners.get(digest)}"),
        (not content, "is empty"),
        (content.lstrip()[:1] == b"<", "is a web page: something answered in the place of a mirror"),
        (packed and start[:2] != b"\x1f\x8b", "is not a gzip file"),
        (packed and _cut_short(content), f"is cut short: it has {len(content)} bytes"),
        (not packed and start != file.header[:4], f"begins with {start.hex(' ')}, not {file.header[:4].hex(' ')}"),
        (not packed and len(content) != file.size, f"has {len(content)} bytes instead of {file.size}"),
        (True, f"is damaged: its md5 is {digest} and should be {wanted}"),
    )
    return next(words for found, words in signs if found)


def _cut_short(packed: bytes) -> bool:
    try:
        gzip.decompress(packed)
    except EOFError:
        return True
    except (OSError, zlib.error):
        return False
    return False


def _fetch(packed: Path, file: File) -> bytes:
    """The packed file from the first of torchvision's mirrors that has it; in its place when it is whole."""
    from torchvision.datasets import MNIST  # takes a second, and most runs have the files
    from torchvision.datasets.utils import download_url

    with startup.Cleanup(), _no_empty_folders(packed.parent):
        return _from_a_mirror(packed, file, MNIST.mirrors, download_url)


@contextlib.contextmanager
def _no_empty_folders(raw: Path) -> Iterator[None]:
    """If nothing could be fetched, removes the folders that were made for it."""
    new = [folder for folder in (raw, *raw.absolute().parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in new:  # innermost first
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _from_a_mirror(packed: Path, file: File, mirrors: Sequence[str], download_url: Callable[..., None]) -> bytes:
    raw, reason = packed.parent, ""
    missing = "no files there" if not any(raw.glob("*-ubyte*")) else f"{packed.name} is missing"
    try:
        raw.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=raw, prefix=".fetching-")
    except OSError as error:
        raise UserError(f"{missing}, and none can be put there: {error.strerror}") from error
    with scratch as folder, _timeout(MIRROR_TIMEOUT_SECONDS), contextlib.redirect_stdout(sys.stderr):
        for mirror in mirrors:
            try:
                download_url(mirror + packed.name, folder, md5=file.packed_md5)
                content = (Path(folder) / packed.name).read_bytes()
                (Path(folder) / packed.name).replace(packed)
                return content
            except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise UserError(f"{missing}, and no mirror answers with it: {reason}")


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """torchvision opens its mirrors without a time limit; a network that swallows packets would hang the run."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
