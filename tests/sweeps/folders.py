"""Configs and run folders as the program leaves them, for tests that read sweeps."""

from __future__ import annotations

import json
from pathlib import Path

from mnist_lite.config.schema import Budget, Config

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
    """A run folder as the program leaves it, as far as the table reads it."""
    run = folder / name
    run.mkdir()
    rows = [
        {"step": 10 * e, "epoch": e, "test/accuracy": a, "train/epoch_accuracy": a - 1}
        for e, a in enumerate(accuracies, 1)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    figures = {"final": accuracies[-1], "best": max(accuracies), "mean_last_5": None}
    train = {"final": accuracies[-1] - 1}
    content = {
        "accuracy": {
            "test": {**figures, "by_epoch": accuracies},
            "train": train,
            **({} if holdout is None else {"holdout": {"final": holdout}}),
        },
        "parameters": 100,
        "fully_connected": False,
        "seconds": {"train": 2.0, "eval": 1.0},
        "seed": seed,
        "epochs": len(accuracies),
        "steps": 10 * len(accuracies),
        "data": {"name": data[0], "test": data[1], "holdout": 0 if holdout is None else 5000},
    }
    (run / "summary.json").write_text(json.dumps(content))
