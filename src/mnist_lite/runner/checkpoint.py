"""Checkpoints as bytes: written so that any change to them is seen, read so that none of them can run code.

A checkpoint is what ``torch.save`` writes, with the SHA-256 of it as the comment of the zip archive that it is: one file, and
``torch.load(..., weights_only=True)`` reads it as any other.
"""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path
from typing import Any

import torch

_PREFIX = b"sha256:"
_COMMENT_BYTES = len(_PREFIX) + 64
MAX_COST = 0.02
"""Writing checkpoints takes at most this part of the time."""


class DamagedError(Exception):
    """A checkpoint that is not what was written. Its text says how that is known."""


class ForeignError(Exception):
    """A checkpoint that is whole and not of our making. Its text says what is wrong with it."""


def pack(state: dict[str, Any]) -> bytes:
    """``state`` (tensors and plain values) as the bytes of a checkpoint."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    # the last two bytes of a zip archive without a comment are the length of the comment
    content = buffer.getvalue()[:-2] + _COMMENT_BYTES.to_bytes(2, "little")
    return content + _PREFIX + hashlib.sha256(content).hexdigest().encode()


def unpack(content: bytes) -> dict[str, Any]:
    """The state in the bytes of a checkpoint, tensors on the CPU.

    Raises:
        DamagedError: the checksum is missing or wrong.
        ForeignError: the content cannot be read without running code, or is not a state.
    """
    if not content:
        raise DamagedError("it is empty")
    body, comment = content[:-_COMMENT_BYTES], content[-_COMMENT_BYTES:]
    if not comment.startswith(_PREFIX):
        raise DamagedError("it does not end with a checksum, so it was cut short or is not from here")
    if comment[len(_PREFIX) :] != hashlib.sha256(body).hexdigest().encode():
        raise DamagedError("its checksum is wrong")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler meets anything in what a stranger made
        raise ForeignError(f"it holds what a checkpoint must not: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict):
        raise ForeignError(f"it holds a {type(state).__name__}, not the state of a run")
    return state


def read(path: Path) -> dict[str, Any]:
    """``unpack`` of a file.

    Raises:
        DamagedError: as ``unpack``, or the file cannot be read.
        ForeignError: as ``unpack``.
    """
    try:
        return unpack(path.read_bytes())
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror}") from error


class CheckpointTimer:
    """When the next checkpoint is due: every ``steps``, or every ``seconds`` but never so often that it costs 2 %."""

    def __init__(self, steps: int | None, seconds: float) -> None:
        self._steps, self._seconds = steps, seconds
        self._pause = 0.0
        self._since = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether to write one after ``step``."""
        if self._steps is not None:
            return step % self._steps == 0
        return time.monotonic() - self._since >= max(self._seconds, self._pause)

    def written(self, cost: float) -> None:
        """Tells that one has been written and took ``cost`` seconds."""
        self._pause = cost / MAX_COST
        self._since = time.monotonic()
