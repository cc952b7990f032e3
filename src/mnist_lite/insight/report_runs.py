"""The part of a report that needs no data set and no weights: figures, curves, layers, differences and commands of runs.

All functions return plain values for JSON.
"""

from __future__ import annotations

import math
import shlex
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from mnist_lite.errors import UserError
from mnist_lite.insight.comparison import ComparedGroup, Comparison, FinishedRun, on_same_images
from mnist_lite.insight.comparison_text import answers, notes
from mnist_lite.insight.published import PUBLISHED
from mnist_lite.insight.reproduce import overrides_of
from mnist_lite.insight.zoo import name_of
from mnist_lite.model.budget import describe_test_set
from mnist_lite.model.build import Layer, Network, build
from mnist_lite.runner.metrics import epoch_ends
from mnist_lite.runner.metrics_file import read_some_rows
from mnist_lite.training.step_metrics import Row

MAX_POINTS, MIN_POINTS, ALL_POINTS = 300, 30, 12_000
"""Points of a curve, and of all curves together. Longer curves are shortened."""
MAX_ROWS = 100_000
"""Evaluations, and training steps, of a run that are read."""
STEP_METRICS = ("train/loss", "train/accuracy", "lr")
EVALUATION_METRICS = (
    *("test/accuracy", "test/loss", "train/epoch_accuracy", "train/epoch_loss"),
    *("holdout/accuracy", "holdout/loss"),
)


def verdict(comparison: Comparison) -> dict[str, Any]:
    """What comes first: the best group, its budget, and for several groups which is better.

    Only groups on the same test images are compared. ``compared`` has their places in the page.
    """
    part = on_same_images(comparison)
    letters = [group.letter for group in comparison.groups]
    others = [letter for letter in letters if letter not in {group.letter for group in part.groups}]
    best = max(part.groups, key=lambda group: group.final.mean)
    (checks, *more) = [run.summary.budget.get("checks") for run in best.runs]
    return {
        "best": letters.index(best.letter),
        "compared": [letters.index(group.letter) for group in part.groups],
        "checks": checks if isinstance(checks, list) and not more else [],
        "answers": [
            *(answers(part) if len(part.groups) > 1 else []),
            *([f"Not compared, because measured on other images: {', '.join(others)}."] if others else []),
        ],
        "notes": notes(replace(part, left_out=[])),  # the page has a list of its own
    }


def group_record(group: ComparedGroup) -> dict[str, Any]:
    """A row of the table of runs: the figures of a group, its layers, and the commands that train its runs."""
    final, summary, network = group.final, group.summary, _shape_of(group.runs[0].config)
    verdicts = [row.budget for row in group.results.rows if row.budget]
    return {
        "letter": group.letter,
        "name": group.name,
        "folders": [name_of(run.path) if name_of(run.path).startswith("zoo:") else run.path.name for run in group.runs],
        "seeds": [run.summary.seed for run in group.runs],
        "parameters": summary.parameters,
        "multiply_adds": summary.multiply_adds,
        "epochs": group.mean(lambda each: each.epochs),
        "seconds": group.mean(lambda each: each.seconds.train + each.seconds.eval),
        "final": final.mean,
        "low": final.low,
        "high": final.high,
        "best": group.mean(lambda each: each.accuracy.test.best),
        "best_epochs": [run.summary.accuracy.test.best_epoch for run in group.runs],
        "mean_last_5": group.mean(lambda each: each.accuracy.test.mean_last_5),
        "gap": group.gap,
        "train": group.mean(lambda each: each.accuracy.train.final),
        "images": describe_test_set(summary.data["name"], summary.data["test"]),
        "trained_on": f"{summary.data['train']:,} training images of {summary.data['name']}",
        "budget": {"met": verdicts.count("met"), "judged": len(verdicts) - verdicts.count("not judged")}
        if verdicts
        else None,
        "commands": _commands(group.runs, None if network is None else overrides_of(group.runs[0].config)),
        "conditions": _conditions(group),
        "layers": None if network is None else [_layer_row(layer) for layer in network.layers],
    }


def curves(groups: Sequence[ComparedGroup]) -> tuple[list[dict[str, Any]], list[str]]:
    """The curves of each run: columns of the evaluations and of the training steps. And why curves are missing."""
    runs = [(i, run) for i, group in enumerate(groups) for run in group.runs]
    limit = max(MIN_POINTS, min(MAX_POINTS, ALL_POINTS // len(runs)))
    found, missing, shortened = [], [], 0
    for group, run in runs:
        try:
            rows, count = read_some_rows(run.path, MAX_ROWS)
        except OSError as error:
            missing.append(f"The curves of {run.path.name}: metrics.jsonl cannot be read ({error.strerror}).")
            continue
        if len(rows) < count:
            missing.append(
                f"Rows of {run.path.name}: its curves use {len(rows):,} of the {count:,} rows of metrics.jsonl."
            )
        evaluations = [row for row in rows if "test/accuracy" in row]
        steps = [row for row in rows if "train/loss" in row]
        if not evaluations:
            missing.append(f"The curves of {run.path.name}: metrics.jsonl has no evaluation.")
            continue
        clock = _Clock(evaluations)
        shortened += len(steps) > limit
        found.append(
            {
                "group": group,
                "seed": run.summary.seed,
                "evaluations": _columns(_thinned(evaluations, limit), EVALUATION_METRICS, clock),
                "steps": _columns(_averaged(steps, limit), STEP_METRICS, clock),
            }
        )
    if shortened:
        missing.append(
            f"Most training steps: each curve of the training steps has at most {limit} points. "
            "A point is the mean of neighbouring steps."
        )
    return found, missing


def published() -> list[dict[str, Any]]:
    """The authors' figures."""
    return [network._asdict() for network in PUBLISHED]


def _layer_row(layer: Layer) -> dict[str, Any]:
    """``field`` has the first and the last row of the image that the middle value of the map depends on."""
    return {
        "number": layer.number,
        "text": layer.text,
        "block": layer.block,
        "kind": layer.kind,
        "shape": list(layer.output),
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
        "receptive_field": layer.receptive_field,
        "jump": layer.jump,
        "field": layer.rows_of_image(layer.middle),
    }


def _shape_of(config: Mapping[str, Any]) -> Network | None:
    """The network of ``config`` without memory for its weights. None: its layers are not valid."""
    try:
        with torch.device("meta"):
            return build(config["model"])
    except (UserError, KeyError, TypeError):
        return None


def _commands(runs: Sequence[FinishedRun], overrides: list[str] | None) -> list[dict[str, Any]]:
    """For each run, the command that trains it again. ``overrides`` are those of the first one. None: there is no command."""
    commands = []
    for run in runs:
        command = None
        if overrides is not None:
            # runs of a group differ in their seed only
            own = [each for each in overrides if not each.startswith("seed=")]
            own += [*_threads(run), f"seed={run.summary.seed}"]
            command = shlex.join(["mnist-lite", "train", *own])
        commands.append({"seed": run.summary.seed, "folder": run.path.name, "command": command})
    return commands


def _threads(run: FinishedRun) -> list[str]:
    """The number of threads as an override, where the config has it or the result depends on it: with torch on the CPU."""
    on_torch = run.summary.device == "cpu" and run.summary.backend != "kernels"
    return [f"threads={run.summary.threads}"] if run.config.get("threads") or on_torch else []


def _conditions(group: ComparedGroup) -> str:
    """Where the runs were trained, and with which versions."""
    summary = group.summary
    torch_version = summary.versions.get("torch", "an unknown version")
    own = summary.versions.get("mnist-lite", "of an unknown version")
    threads = f"{summary.threads} thread{'s' * (summary.threads != 1)}"
    commit = f", commit {summary.git[:12]}" if summary.git else ""
    machine = f"{summary.device} with {threads}, {summary.precision}, {summary.backend}"
    return f"{machine}; torch {torch_version}, mnist-lite {own}{commit}"


class _Clock:
    """The epoch and the seconds of training at each step of a run."""

    def __init__(self, evaluations: Sequence[Row]) -> None:
        first = next((row for row in evaluations if row["epoch_end"]), evaluations[-1])
        self.steps_per_epoch = first["step"] / first["epoch"]
        before, total = {}, 0.0
        for row in epoch_ends(evaluations):
            before[row["epoch"]] = total
            total += row["seconds/train"]
        self.steps = [0, *(int(row["step"]) for row in evaluations)]
        self.seconds = [0.0, *(before[row["epoch"]] + row["seconds/train"] for row in evaluations)]

    def at(self, step: float) -> tuple[float, float]:
        """The epoch, and the seconds: those of evaluations are measured, those between them are interpolated."""
        i = min(bisect_right(self.steps, step), len(self.steps) - 1)
        low, high = self.steps[i - 1], self.steps[i]
        part = (step - low) / (high - low) if high > low else 1.0
        return step / self.steps_per_epoch, self.seconds[i - 1] + part * (self.seconds[i] - self.seconds[i - 1])


def _columns(rows: Sequence[Row], metrics: Sequence[str], clock: _Clock) -> dict[str, list[float | None]]:
    times = [clock.at(row["step"]) for row in rows]
    columns: dict[str, list[float | None]] = {
        "step": [row["step"] for row in rows],
        "epoch": [_short(epoch) for epoch, _ in times],
        "seconds": [_short(seconds) for _, seconds in times],
    }
    for metric in metrics:
        if any(metric in row for row in rows):
            columns[metric] = [_short(row[metric]) if metric in row else None for row in rows]
    return columns


def _averaged(rows: Sequence[Row], limit: int) -> list[Row]:
    """At most ``limit`` rows: each is the mean of as many neighbouring rows."""
    size = math.ceil(len(rows) / limit) if rows else 1
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    if size == 1:
        return list(rows)
    return [{key: sum(row[key] for row in part) / len(part) for key in ("step", *STEP_METRICS)} for part in parts]


def _thinned(rows: Sequence[Row], limit: int) -> list[Row]:
    """At most about ``limit`` rows, with the last one."""
    step = math.ceil(len(rows) / limit)
    return [row for i, row in enumerate(rows) if (len(rows) - 1 - i) % step == 0]


def _short(value: float) -> float:
    """Six digits: more cannot be seen in a picture, and the page is smaller."""
    return float(f"{value:.6g}")
