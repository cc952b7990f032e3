"""The last word on a run: what goes into ``summary.json`` and onto the terminal when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mnist_lite.config.schema import Config
from mnist_lite.data.dataset import Dataset
from mnist_lite.model import budget
from mnist_lite.model.build import Network
from mnist_lite.reporting import layer_table
from mnist_lite.runner import metrics, provenance
from mnist_lite.training.step_metrics import Row


def describe_data(data: Dataset) -> dict[str, Any]:
    """What a run was trained on, in figures that differ when the images do."""
    return {
        "name": data.name,
        "train": len(data.train),
        "test": len(data.test),
        "holdout": 0 if data.holdout is None else len(data.holdout),
        "mean": data.mean,
        "std": data.std,
    }


def verdict_of(config: Config, network: Network, data: Dataset, rows: Sequence[Row]) -> budget.Verdict:
    """The verdict on the budget of a finished run."""
    accuracies = metrics.accuracies(rows)["test"]["by_epoch"]
    reached = budget.RunResults(
        network.parameters, network.fully_connected, len(accuracies), accuracies, data.name, len(data.test)
    )
    return budget.after_training(config.budget, reached)


def summary(
    config: Config,
    network: Network,
    data: Dataset,
    device: torch.device,
    plan: Mapping[str, object],
    rows: Sequence[Row],
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    return {
        "name": config.name,
        "model": config.choices.get("model"),
        "experiment": config.choices.get("experiment"),
        "parameters": network.parameters,
        "fully_connected": network.fully_connected,
        "multiply_adds": layer_table.work(network),
        "data": describe_data(data),
        "seed": config.seed,
        "epochs": rows[-1]["epoch"],
        "steps": rows[-1]["step"],
        "accuracy": metrics.accuracies(rows),
        "seconds": metrics.seconds(rows),
        "budget": verdict_of(config, network, data, rows).as_dict(),
        **provenance.record(device, plan),
    }


def title(config: Config, network: Network, data: Dataset, rows: Sequence[Row]) -> str:
    """The title of the finished run's curves."""
    final = metrics.accuracies(rows)["test"]["final"]
    measured = budget.describe_test_set(data.name, len(data.test))
    return f"{config.name}: {network.parameters:,} parameters, final test accuracy {final:.2f} % on {measured}"


def lines(config: Config, network: Network, data: Dataset, rows: Sequence[Row]) -> list[str]:
    """The last lines of a run. The headline is the accuracy of the last epoch."""
    figures = metrics.accuracies(rows)
    test, gap = figures["test"], figures["gap"]
    measured = budget.describe_test_set(data.name, len(data.test))
    mean = "" if test["mean_last_5"] is None else f"mean of the last 5 epochs {test['mean_last_5']:.2f} %; "
    said = [
        f"\nfinal test accuracy {test['final']:.2f} % on {measured}, {network.parameters:,} parameters",
        f"{mean}train minus test {gap['final']:+.2f}; "
        f"best epoch on test {test['best']:.2f} % (epoch {test['best_epoch']}, chosen on the test images)",
    ]
    if "selected" in figures:
        chosen = figures["selected"]
        said.append(f"test accuracy at the epoch best on the holdout (epoch {chosen['epoch']}): {chosen['test']:.2f} %")
    return said + [f"budget {check}" for check in verdict_of(config, network, data, rows).checks]
