"""Overrides as Hydra's grammar wants them."""

from __future__ import annotations

PATHS = ("resume", "sweep.dir", "runs_dir", "data.root", "hydra.sweep.dir")


def path_word(key: str, path: object) -> str:
    """``key=<path>``, quoted: names of folders have equals signs, commas, quotes and umlauts in them."""
    escaped = str(path).replace("'", "\\'")
    return f"{key}='{escaped}'"


def quoted(override: str) -> str:
    """``override`` as it is, but for a path that its user has not quoted."""
    key, _, value = override.partition("=")
    if key not in PATHS or value in ("", "null") or value[0] in "'\"":
        return override
    return path_word(key, value)
