"""Writes sweeps without training: manifests and run folders as the program leaves them, as far as the table reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_lite.config.schema import Budget, Config, SweepConfig
from mnist_lite.runner.metrics import accuracies as accuracies_of
from mnist_lite.runner.metrics import seconds
from mnist_lite.runner.summary import Summary, as_json

NO_BUDGET = Budget(None, None, None, 1, "mnist", None, None, None, False)
CONFIG = Config(model={"layers": []}, augment={"transforms": []}, optimizer={}, scheduler={}, budget=NO_BUDGET)
"""The smallest config of a job."""


def sweep_config(folder: Path, fail_fast: bool = False, retry_failed: bool = False) -> SweepConfig:
    return SweepConfig(dir=str(folder), workers=None, fail_fast=fail_fast, retry_failed=retry_failed)


def write_manifest(folder: Path, entries: Sequence[dict[str, Any]]) -> None:
    (folder / "jobs.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def write_run(
    folder: Path,
    name: str,
    accuracies: Sequence[float],
    seed: int = 0,
    data: tuple[str, int] = ("mnist", 10_000),
    holdout: float | None = None,
) -> None:
    """A finished run with these test accuracies by epoch. ``data`` is the data set and its number of test images."""
    run = folder / name
    run.mkdir()
    rows = []
    for epoch, accuracy in enumerate(accuracies, 1):
        row = {"step": 10 * epoch, "epoch": epoch, "epoch_end": True, "lr": 0.1, "train/epoch_loss": 1.0}
        row |= {"train/epoch_accuracy": max(0.0, accuracy - 1), "test/loss": 1.0, "test/accuracy": accuracy}
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


def write_grid(folder: Path, accuracies: dict[str, list[float]], **options: Any) -> None:
    """A sweep over ``optimizer.lr`` with one run for each accuracy. The seeds count from 0."""
    entries = []
    for lr, values in accuracies.items():
        for seed, value in enumerate(values):
            write_run(folder, f"run_{lr}_{seed}", [value], seed, **options)
            entries.append({"overrides": [f"optimizer.lr={lr}", f"seed={seed}"], "folder": f"run_{lr}_{seed}"})
    write_manifest(folder, entries)
