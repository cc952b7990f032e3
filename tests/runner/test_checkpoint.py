from __future__ import annotations

import io
import time
import zipfile

import pytest
import torch

from mnist_lite.runner import checkpoint
from mnist_lite.runner.checkpoint import CheckpointTimer, DamagedError

STATE = {"step": 3, "model": {"weight": torch.arange(6.0).view(2, 3)}, "names": ["a", "b"], "rate": 1e-05, "none": None}


@pytest.fixture(scope="module")
def packed() -> bytes:
    return checkpoint.pack(STATE)


def test_what_was_packed_is_unpacked(packed: bytes):
    state = checkpoint.unpack(packed)
    assert {key: value for key, value in state.items() if key != "model"} == {
        k: STATE[k] for k in STATE if k != "model"
    }
    assert torch.equal(state["model"]["weight"], torch.arange(6.0).view(2, 3))


def test_torch_and_zip_can_read_a_checkpoint(packed: bytes):
    assert torch.load(io.BytesIO(packed), weights_only=True)["step"] == 3
    archive = zipfile.ZipFile(io.BytesIO(packed))
    assert archive.testzip() is None
    assert archive.comment.startswith(b"sha256:") and len(archive.comment) == 71


def test_a_change_of_any_byte_is_noticed(packed: bytes):
    for place in range(len(packed)):
        altered = bytearray(packed)
        altered[place] ^= 1 << (place % 8)
        with pytest.raises(DamagedError):
            checkpoint.unpack(bytes(altered))


def test_any_other_length_is_noticed(packed: bytes):
    for size in range(len(packed)):
        with pytest.raises(DamagedError):
            checkpoint.unpack(packed[:size])
    for more in (b"\0", b"x" * 100, packed):
        with pytest.raises(DamagedError):
            checkpoint.unpack(packed + more)
    with pytest.raises(DamagedError, match="it is empty"):
        checkpoint.unpack(b"")


def test_a_file_without_a_checksum_is_not_ours():
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    with pytest.raises(DamagedError, match="does not end with a checksum"):
        checkpoint.unpack(buffer.getvalue())


def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_checkpoints_by_the_clock(monkeypatch: pytest.MonkeyPatch):
    now = clock(monkeypatch)
    cadence = CheckpointTimer(None, 10)
    due = []
    for step in range(100):
        now[0] = float(step)
        if cadence.due(step):
            due.append(step)
            cadence.written(0.1)
    assert due == list(range(10, 100, 10))


@pytest.mark.parametrize("cost", [0.001, 0.5, 3.0, 40.0])
def test_checkpoints_never_cost_more_than_two_percent(cost: float, monkeypatch: pytest.MonkeyPatch):
    """After the first, whose cost nobody knows."""
    now = clock(monkeypatch)
    cadence = CheckpointTimer(None, 1)
    writing, step = [], 0
    while now[0] < 100_000:
        now[0] += 0.7
        step += 1
        if cadence.due(step):
            writing.append(cost)
            now[0] += cost
            cadence.written(cost)
    assert len(writing) > 2
    assert sum(writing[1:]) <= 0.02 * now[0]


def test_checkpoints_by_steps():
    cadence = CheckpointTimer(3, 0)
    assert [step for step in range(1, 11) if cadence.due(step)] == [3, 6, 9]
