"""A checkpoint: what it holds, its bytes, and when the next one is due.

The bytes are those of ``torch.save``, with their SHA-256 in the comment of the zip archive. Therefore every change of
the file is found, and ``torch.load(path, weights_only=True)`` still reads it. Nothing in a checkpoint can run code when
it is read here.
"""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from pathlib import Path
from types import NoneType
from typing import Any, TypedDict, TypeVar

import msgspec
import torch

from mnist_lite import files
from mnist_lite.runner.metrics import Count, Percent
from mnist_lite.runner.run_format import check_resumable
from mnist_lite.runner.summary import DataRecord
from mnist_lite.training.step_metrics import Row
from mnist_lite.training.trainer import TrainerState

T = TypeVar("T")
_PREFIX = b"sha256:"
_COMMENT_BYTES = len(_PREFIX) + 64
MAX_BYTES = 2048 * files.MB
MAX_VALUES = 1_000_000
MAX_COST = 0.02
"""The largest part of a run's time that writing checkpoints may take."""


class Best(TypedDict):
    """The best evaluation so far, on the held-out images if there are any, else on the test images."""

    epoch: Count
    step: Count
    score: Percent
    row: Row
    """The row of this evaluation."""
    model: dict[str, Any]
    ema: dict[str, Any] | None


class Checkpoint(TrainerState):
    """What ``last.pt`` and ``previous.pt`` hold: all of the run at the end of a step. ``best.pt`` is a copy of ``best``.

    Filled by ``RunLoop._save``, ``RunFolder.save`` and ``Trainer.state_dict``.
    """

    format: int
    """See ``run_format.py``."""
    best: Best | None
    """None: there was no evaluation yet."""
    config: dict[str, Any]
    """The config as a dict."""
    data: DataRecord
    conditions: dict[str, str]
    """What can change the last bits of the result: see ``provenance.conditions``."""
    resumes: list[dict[str, Any]]
    """One entry for each resume: the step, and the conditions that were different."""
    metrics: str
    """The content of ``metrics.jsonl``."""


class DamagedError(Exception):
    """A checkpoint file was changed after it was written, or it is incomplete. The message says what is wrong."""


class ForeignError(Exception):
    """The checksum of a file is right, but it is not a checkpoint of this program. The message says why."""


def pack(state: Any) -> bytes:
    """The bytes of a checkpoint with the content ``state``: a dict of tensors and plain values."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    # the last two bytes of a zip archive without a comment are the length of the comment
    content = buffer.getvalue()[:-2] + _COMMENT_BYTES.to_bytes(2, "little")
    return content + _PREFIX + hashlib.sha256(content).hexdigest().encode()


def unpack(content: bytes) -> dict[str, Any]:
    """The dict in the bytes of a checkpoint, tensors on the CPU.

    Raises:
        DamagedError: the checksum is missing or wrong.
        ForeignError: the content is not a dict of tensors and plain values, it is larger than its file, or reading it
            would run code.
    """
    if not content:
        raise DamagedError("it is empty")
    body, comment = content[:-_COMMENT_BYTES], content[-_COMMENT_BYTES:]
    if not comment.startswith(_PREFIX):
        raise DamagedError("it does not end with a checksum, so it is incomplete or not a checkpoint of this program")
    if comment[len(_PREFIX) :] != hashlib.sha256(body).hexdigest().encode():
        raise DamagedError("its checksum is wrong")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ForeignError("it is compressed")  # a small file could fill the memory
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except ForeignError:
        raise
    except Exception as error:  # torch.load raises errors of many types for a file from a stranger
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ForeignError(f"it holds what a checkpoint must not: {reason}") from error
    if not isinstance(state, dict):
        raise ForeignError(f"it holds a {type(state).__name__}, not the state of a run")
    _check_values(state)
    return state


def read(path: Path) -> dict[str, Any]:
    """The dict in the checkpoint file ``path``, tensors on the CPU.

    Raises:
        DamagedError: see ``unpack``. Or the file cannot be read.
        ForeignError: see ``unpack``.
    """
    try:
        return unpack(files.read(path, MAX_BYTES))
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror}") from error


def load(path: Path) -> Checkpoint:
    """The checkpoint in the file ``path``. The names and types of its parts are checked.

    Raises:
        DamagedError: see ``read``.
        ForeignError: see ``read``. Or a part is missing or has a wrong type.
        UserError: it has another format.
    """
    state = read(path)
    check_resumable(path, _without_tensors(state.get("format")))
    return _converted(state, Checkpoint)


def load_as(path: Path, kind: type[T]) -> T:
    """The parts of a checkpoint of any format that are in the typed dict ``kind``. Names and types are checked.

    Raises:
        DamagedError: see ``read``.
        ForeignError: see ``read``. Or a part is missing or has a wrong type.
    """
    return _converted(read(path), kind)


def _converted(state: dict[str, Any], kind: type[T]) -> T:
    try:
        msgspec.convert(_without_tensors(state), kind)
    except msgspec.ValidationError as error:
        raise ForeignError(f"it does not hold what a checkpoint holds: {error}") from error
    return state  # type: ignore[return-value]  # checked just now


def _check_values(state: dict[Any, Any]) -> None:
    """Checks that ``state`` holds dense tensors with memory of their own, and not too many plain values.

    The limit is needed: a list that contains itself would never end.
    """
    values: list[Any] = [state]
    count = 0
    while values:
        count += 1
        value = values.pop()
        if count > MAX_VALUES:
            raise ForeignError(f"it holds more than {MAX_VALUES:,} values")
        if isinstance(value, torch.Tensor):
            dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
            if not dense or value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise ForeignError(f"it holds a tensor of shape {tuple(value.shape)} without its memory")
        elif isinstance(value, dict):
            values += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            values += value
        elif not isinstance(value, str | int | float | NoneType):
            raise ForeignError(f"it holds a {type(value).__name__}")


class _Tensor:
    """Takes the place of a tensor, because msgspec treats a tensor as a mapping."""


def _without_tensors(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _Tensor()
    if isinstance(value, dict):
        return {_without_tensors(key): _without_tensors(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(part) for part in value]
    return value


class CheckpointTimer:
    """When the next checkpoint is due: every ``steps`` steps, or every ``seconds`` seconds.

    With ``steps`` None, the pause is longer where writing checkpoints would take more than ``MAX_COST`` of the time.
    """

    def __init__(self, steps: int | None, seconds: float) -> None:
        self._steps, self._seconds = steps, seconds
        self._pause = 0.0
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether to write a checkpoint after ``step``."""
        if self._steps is not None:
            return step % self._steps == 0
        return time.monotonic() - self._last >= max(self._seconds, self._pause)

    def written(self, cost: float) -> None:
        """Call this after a checkpoint. Writing it took ``cost`` seconds."""
        self._pause = cost / MAX_COST
        self._last = time.monotonic()
