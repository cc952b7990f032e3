"""Random streams. Each stream depends on three values only: the seed, a purpose, and an index (an epoch or a step).

The shuffle of epoch 3, for example, does not depend on what was drawn before it. Therefore logging, evaluation and a
resumed run do not change the numbers, and a checkpoint holds no random state.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """The seed of a stream, from 0 to 2**63 - 1. SHA-256 makes streams of neighbouring seeds independent."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(device: torch.device, seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """A new generator on ``device`` at the start of a stream."""
    result = torch.Generator(device)
    result.manual_seed(derive(seed, purpose, index))
    return result


def seed_global(seed: int, purpose: str, index: int = 0) -> None:
    """Sets torch's global random state, for functions that accept no generator: initialisation and dropout."""
    torch.manual_seed(derive(seed, purpose, index))
