"""The file format safetensors, against bytes that are written by hand and against the package of its authors."""

from __future__ import annotations

import json

import pytest
import torch

from mnist_lite.insight.safetensors_file import DamagedFileError, pack, unpack

TENSORS = {
    "steps": torch.tensor(7),
    "weight": torch.arange(6.0).reshape(2, 3) - 0.5,
    "none": torch.zeros(0, 4),
    "bytes": torch.tensor([1, 2, 255], dtype=torch.uint8),
}


def file(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_a_file_that_is_written_by_hand():
    entry = {"dtype": "F32", "shape": [1, 2], "data_offsets": [4, 12]}
    content = file({"w": entry, "__metadata__": {"a": "b"}}, b"\0\0\0\0\x00\x00\x80\x3f\x00\x00\x00\xc0")
    tensors, metadata = unpack(content)
    assert metadata == {"a": "b"} and torch.equal(tensors["w"], torch.tensor([[1.0, -2.0]]))


def test_what_was_packed_is_unpacked():
    content = pack(TENSORS, {"x": "ä"})
    tensors, metadata = unpack(content)
    assert metadata == {"x": "ä"} and tensors.keys() == TENSORS.keys()
    for key, tensor in TENSORS.items():
        assert torch.equal(tensors[key], tensor) and tensors[key].dtype == tensor.dtype
    assert int.from_bytes(content[:8], "little") % 8 == 0


def test_the_package_reads_our_files_and_we_read_its_files(tmp_path):
    package = pytest.importorskip("safetensors.torch", reason="safetensors is not installed: pip install safetensors")
    from safetensors import safe_open

    (tmp_path / "ours").write_bytes(pack(TENSORS, {"x": "y"}))
    with safe_open(tmp_path / "ours", "pt") as opened:
        assert opened.metadata() == {"x": "y"}
        assert all(torch.equal(opened.get_tensor(key), tensor) for key, tensor in TENSORS.items())
    tensors, metadata = unpack(package.save(TENSORS, {"x": "y"}))
    assert metadata == {"x": "y"} and all(torch.equal(tensors[key], tensor) for key, tensor in TENSORS.items())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        file([]),
        file({"w": {}}),
        file({"w": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}}, bytes(8)),
        file({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(7)),
        file({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, bytes(8)),
        file({"w": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}, bytes(8)),
        file({"w": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}, bytes(8)),
        b"\x10" + bytes(7) + b"\xff" * 16,
    ],
)
def test_a_damaged_file_is_an_error(content):
    with pytest.raises(DamagedFileError):
        unpack(content)
