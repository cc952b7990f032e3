"""Compares two run folders bit for bit. Times, paths and the machine are ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

IGNORED_KEYS = ("seconds", "resumes", "metrics", "runs_dir", "conditions", "checkpoint", "git", "sweep")
MISSING = object()
FILES = ("best.pt", "config.yaml", "curves.png", "last.pt", "metrics.jsonl", "model.txt", "previous.pt", "run.log")


def assert_same_run(ours: Path, reference: Path) -> None:
    """Every weight, buffer, state and row of ``ours`` is that of ``reference``."""
    assert same(rows(ours), rows(reference))
    for name in ("last.pt", "best.pt"):
        one, other = (torch.load(folder / name, weights_only=True) for folder in (ours, reference))
        difference = first_difference(one, other)
        assert difference is None, f"{name}: {difference}"
    one, other = (json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in (ours, reference))
    assert first_difference(one, other) is None
    left = {path.name for path in ours.iterdir()} - {".lock", "summary.json", *FILES}
    assert not left, f"left behind: {left}"


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``metrics.jsonl`` without their times."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("seconds")} for line in lines]


def same(one: object, other: object) -> bool:
    """True if there is no ``first_difference``."""
    return first_difference(one, other) is None


def first_difference(one: Any, other: Any, where: str = "") -> str | None:
    """Where two states differ first; None if nowhere. NaN equals itself, and 0.0 differs from -0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        one, other = (
            {key: value for key, value in d.items() if not str(key).startswith(IGNORED_KEYS)} for d in (one, other)
        )
        pairs = [(one.get(key, MISSING), other.get(key, MISSING), f"{where}.{key}") for key in {**one, **other}]
    elif isinstance(one, (list, tuple)) and type(one) is type(other) and len(one) == len(other):
        pairs = [(a, b, f"{where}[{index}]") for index, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return None if bits(one) == bits(other) else f"{where}: {str(one)[:80]} and {str(other)[:80]}"
    return next(filter(None, (first_difference(*pair) for pair in pairs)), None)


def bits(value: Any) -> tuple[object, ...]:
    """Type and bits of a leaf, to compare."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.numpy().tobytes()
    return type(value), repr(value)
