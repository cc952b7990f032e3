"""Overrides in Hydra's grammar, and commands for a user to paste into a shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

PATHS = ("resume", "sweep.dir", "runs_dir", "data.root", "hydra.sweep.dir")


def path_override(key: str, path: object) -> str:
    """``key=<path>``, quoted: names of folders have equals signs, commas, quotes and umlauts in them."""
    escaped = str(path).replace("'", "\\'")
    return f"{key}='{escaped}'"


def quote_path(override: str) -> str:
    """``override`` as it is, but for a path that its user has not quoted."""
    key, _, value = override.partition("=")
    if key not in PATHS or value in ("", "null") or value[0] in "'\"":
        return override
    return path_override(key, value)


def train_command(words: Iterable[str]) -> str:
    """A shell command that trains with ``words``. It runs this Python even where ``python`` is another one or none."""
    found = shutil.which("python")
    ours = found is not None and Path(found).parent.absolute() == Path(sys.executable).parent.absolute()
    return shlex.join(["python" if ours else sys.executable, "-m", "mnist_lite.train", *words])
