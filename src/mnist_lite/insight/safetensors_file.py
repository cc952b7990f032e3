"""The file format safetensors: tensors and texts, and nothing that can run code.

A file is: the length of the header (8 bytes, little-endian), the header in JSON, the bytes of the tensors. The format is so small
that no package is needed. Source: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec
import torch

DTYPES = {"F32": torch.float32, "I64": torch.int64, "U8": torch.uint8}
"""The types of tensors that a network of this program has, with their names in the file."""
ALIGNMENT = 8
METADATA = "__metadata__"


class DamagedFileError(ValueError):
    """The bytes are not a safetensors file, or it has a type of tensor that no network here has."""


class _Entry(TypedDict):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def pack(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file with ``tensors`` (float32, int64 or uint8) and the texts ``metadata``."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {METADATA: dict(metadata)}
    parts: list[bytes] = []
    start = 0
    # the widest type first, so that each tensor starts at a multiple of the size of its numbers
    for key, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        parts.append(tensor.detach().cpu().contiguous().numpy().tobytes())
        end = start + len(parts[-1])
        header[key] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def unpack(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the texts in the bytes of a file.

    Raises:
        DamagedFileError: see there.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        if start > len(content):
            raise DamagedFileError("it is incomplete")
        header = msgspec.json.decode(content[8:start], type=dict[str, dict[str, Any]])
        metadata = msgspec.convert(header.pop(METADATA, {}), dict[str, str])
        entries = msgspec.convert(header, dict[str, _Entry])
        return {key: _tensor(content[start:], entry) for key, entry in entries.items()}, metadata
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedFileError(f"its header is not that of a safetensors file: {error}") from error


def _tensor(data: bytes, entry: _Entry) -> torch.Tensor:
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise DamagedFileError(f"it has a tensor of type {entry['dtype']}")
    start, end = entry["data_offsets"]
    count = 1
    for side in entry["shape"]:
        count *= side
    if not (
        0 <= start <= end <= len(data) and min(entry["shape"], default=1) >= 0 and end - start == count * dtype.itemsize
    ):
        raise DamagedFileError("a tensor is not where the header says")
    if count == 0:
        return torch.empty(entry["shape"], dtype=dtype)
    return torch.frombuffer(bytearray(data[start:end]), dtype=dtype).view(entry["shape"])
