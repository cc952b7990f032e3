"""Random streams that depend on (seed, purpose, place) alone.

What is drawn for the order of epoch 3 or the dropout of step 1200 does not depend on what was drawn before, so that a run
does not change with logging, evaluation or interruption.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """A 63-bit seed for one purpose at one place; SHA-256, so that near seeds give unrelated streams."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(device: torch.device, seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """A generator on ``device`` for one purpose at one place."""
    made = torch.Generator(device)
    made.manual_seed(derive(seed, purpose, index))
    return made


def seed_global(seed: int, purpose: str, index: int = 0) -> None:
    """Sets torch's global state, for what takes no generator: initialisation and dropout."""
    torch.manual_seed(derive(seed, purpose, index))
