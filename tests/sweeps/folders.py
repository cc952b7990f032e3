"""Configs and run folders as the program leaves them, for tests that read sweeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mnist_lite.config.schema import Budget, Config
from mnist_lite.runner.metrics import accuracies as accuracies_of
from mnist_lite.runner.metrics import seconds
from mnist_lite.runner.summary import Summary, as_json

NO_BUDGET = Budget(None, None, None, 1, "mnist", None, None, None, False)
CONFIG = Config(model={"layers": []}, augment={"transforms": []}, optimizer={}, scheduler={}, budget=NO_BUDGET)
"""A config with no more in it than a job needs to have a place in a sweep."""


def finished(
    folder: Path,
    name: str,
    accuracies: list[float],
    seed: int = 0,
    data: tuple[str, int] = ("mnist", 10_000),
    holdout: float | None = None,
) -> None:
    """The metrics and the summary of a finished run in ``folder/name``, with these test accuracies of its epochs."""
    run = folder / name
    run.mkdir()
    rows = []
    for epoch, accuracy in enumerate(accuracies, 1):
        row = {"step": 10 * epoch, "epoch": epoch, "epoch_end": True, "lr": 0.1, "train/epoch_loss": 1.0}
        row |= {"train/epoch_accuracy": accuracy - 1, "test/loss": 1.0, "test/accuracy": accuracy}
        row |= {} if holdout is None else {"holdout/loss": 1.0, "holdout/accuracy": holdout}
        rows.append({**row, "seconds/train": 2.0 / len(accuracies), "seconds/eval": 1.0 / len(accuracies)})
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = ("device", "precision", "kernels", "memory_format", "machine", "cpu_capability", "platform", "name")
    fields: dict[str, Any] = {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("cores", "git", "model", "experiment")),
        **{"threads": 1, "versions": {}, "parameters": 100, "fully_connected": False, "multiply_adds": 1},
        **{"seed": seed, "epochs": len(accuracies), "steps": 10 * len(accuracies), "budget": {}, "resumes": []},
        "data": {
            **{"name": data[0], "test": data[1], "train": 60_000, "mean": 0.0, "std": 1.0},
            "holdout": 0 if holdout is None else 5000,
        },
    }
    summary = Summary(**fields, accuracy=accuracies_of(rows), seconds=seconds(rows))
    (run / "summary.json").write_bytes(as_json(summary))
