"""The network of a run for the canvas of a report."""

from __future__ import annotations

from typing import Any

from mnist_lite.insight.saved_run import SavedRun

MAX_PARAMETERS = 500_000


def network_record(run: SavedRun) -> dict[str, Any] | None:
    """Stub."""
    return None
