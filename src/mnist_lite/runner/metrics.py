"""The figures of a finished run, from its rows: what goes into ``summary.json`` and into the last lines on the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from mnist_lite.reporting.text_layout import first_fitting

Rows = Sequence[Mapping[str, float | int | bool]]

SUMMARY, METRICS = "summary.json", "metrics.jsonl"
CHANCE_LOSS = math.log(10)
LAST_EPOCHS = 5
MIN_STEPS = 100


def accuracies(rows: Rows) -> dict[str, dict[str, Any]]:
    """Accuracies in percent for train, test and holdout, and ``gap``: train minus test.

    ``rows`` are those of ``metrics.jsonl``. Each split has:

    - ``first_epoch``, ``final``: at the end of the first and of the last epoch.
    - ``mean_last_5``: the mean over the last 5 epochs. None if there are fewer.
      A figure of an epoch whose row was lost is None.
    - ``best``, ``best_epoch``: the best of all evaluations, the first one if several are equal. The best test accuracy is
      chosen on the test images themselves, as most published figures are. It is too optimistic.
    - ``by_epoch`` (test only): one value for each epoch.

    With a holdout there is ``selected``: the test accuracy of the evaluation with the best holdout accuracy.
    """
    ends = epoch_ends(rows)
    evaluations = [row for row in rows if "test/accuracy" in row]
    last_epoch = int(ends[-1]["epoch"]) if ends else 0
    last_are_whole = len(ends) >= LAST_EPOCHS and ends[-LAST_EPOCHS]["epoch"] == last_epoch - LAST_EPOCHS + 1
    keys = {"test": "test/accuracy", "train": "train/epoch_accuracy", "holdout": "holdout/accuracy"}
    result: dict[str, dict[str, Any]] = {}
    for split, key in keys.items():
        values = [float(row[key]) for row in ends if key in row]
        if values:
            best = max(evaluations, key=lambda row: float(row[key]))
            result[split] = {
                "first_epoch": values[0] if ends[0]["epoch"] == 1 else None,
                "final": values[-1],
                "best": float(best[key]),
                "best_epoch": int(best["epoch"]),
                "mean_last_5": fmean(values[-LAST_EPOCHS:]) if last_are_whole else None,
            }
            if split == "test":
                by_epoch = {int(row["epoch"]): float(row[key]) for row in ends}
                result[split]["by_epoch"] = [by_epoch.get(epoch) for epoch in range(1, last_epoch + 1)]
    if "holdout" in result:
        chosen = max(evaluations, key=lambda row: float(row["holdout/accuracy"]))
        result["selected"] = {"epoch": int(chosen["epoch"]), "test": float(chosen["test/accuracy"])}
    if result:
        train, test = result["train"], result["test"]
        keys_of_gap = ("first_epoch", "final", "best", "mean_last_5")
        result["gap"] = {key: None if train[key] is None else train[key] - test[key] for key in keys_of_gap}
    return result


def epoch_ends(rows: Rows) -> list[Mapping[str, float | int | bool]]:
    """The evaluation of each epoch: at its end, or where the run was stopped inside of it."""
    evaluations = [row for row in rows if "test/accuracy" in row]
    last = {row["epoch"]: row for row in evaluations}
    return list(last.values())


def missing_steps(rows: Rows, last_step: int) -> list[list[int]]:
    """The training steps from 1 to ``last_step`` that have no row, as ranges ``[first, last]``."""
    gaps, expected = list[list[int]](), 1
    for step in [*(int(row["step"]) for row in rows if "train/loss" in row), last_step + 1]:
        if step > expected:
            gaps.append([expected, step - 1])
        expected = step + 1
    return gaps


def seconds(rows: Rows) -> dict[str, float]:
    """Seconds of training and of evaluation, all epochs."""
    return {
        "train": sum(float(row["seconds/train"]) for row in epoch_ends(rows)),
        "eval": sum(float(row["seconds/eval"]) for row in rows if "seconds/eval" in row),
    }


def has_died(row: Mapping[str, float | int | bool], steps: int) -> bool:
    """Whether an epoch of ``steps`` ended as if the network gave every digit the same chance: a loss of ln 10 = 2.303.

    Both the epoch's mean and the test split must stand there, and there must have been time to leave it. A network that is
    slow to wake has moved a little: step3 at seed 0 stood at 2.3006 and 2.2955 after an epoch, and learned in the next.
    """
    stuck = abs(row["train/epoch_loss"] - CHANCE_LOSS) < 0.01 and abs(row["test/loss"] - CHANCE_LOSS) < 0.002
    return bool(row["epoch_end"]) and steps >= MIN_STEPS and stuck


def epoch_line(row: Mapping[str, float | int | bool], epochs: int, width: int | None = None) -> str:
    """One line for one evaluation. In less than the ``width`` that it needs, it has no losses; accuracies and lr stay."""
    number = f"{row['epoch']:{len(str(epochs))}d}/{epochs}"
    where, short = (f"epoch {number}", number) if row["epoch_end"] else (f"step {row['step']}",) * 2
    train, test = f"train {row['train/epoch_accuracy']:6.2f} %", f"test {row['test/accuracy']:6.2f} %"
    losses = f"loss {row['train/epoch_loss']:.4f}", f"loss {row['test/loss']:.4f}"
    held = [f"holdout {row['holdout/accuracy']:6.2f} %"] if "holdout/accuracy" in row else []
    lr = f"lr {row['lr']:.2g}"
    times = f"{row['seconds/train']:.1f} s + {row['seconds/eval']:.1f} s"
    time = f"{float(row['seconds/train']) + float(row['seconds/eval']):.1f} s"
    texts = [
        "   ".join([where, f"{train}  {losses[0]}", *held, f"{test}  {losses[1]}", lr, times]),
        "   ".join([where, train, *held, test, lr, time]),
        *(gap.join([short, train, *held, test, lr, time]).replace("  %", " %") for gap in ("  ", " ")),
        " ".join([short, train, *held, test, lr]).replace(" %", "").replace("  ", " ").replace("holdout", "held"),
    ]
    return first_fitting(texts, width)


def read_summary(folder: Path) -> dict[str, Any] | None:
    """The ``summary.json`` of a finished run. None if there is none, or if it is not complete."""
    try:
        found = json.loads((folder / SUMMARY).read_text("utf-8"))
        accuracy = found["accuracy"]
        figures = [
            accuracy["test"]["final"],
            accuracy["test"]["best"],
            *(value for value in accuracy["test"]["by_epoch"] if value is not None),
        ]
        figures += [accuracy["train"]["final"], *([accuracy["holdout"]["final"]] if "holdout" in accuracy else [])]
        figures += [*found["seconds"].values(), found["parameters"], found["seed"], found["epochs"], found["steps"]]
        figures += [found["data"]["test"], found["fully_connected"]]
        mean = accuracy["test"]["mean_last_5"]
        if not all(isinstance(value, int | float) for value in [*figures, *([] if mean is None else [mean])]):
            return None
        if not isinstance(found["data"]["name"], str):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return dict(found)


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """The evaluation rows of ``metrics.jsonl``, in order. Training rows are skipped without parsing.

    Raises:
        OSError: the file cannot be read.
        ValueError: a row is not a JSON object with a step, an epoch and a test accuracy.
    """
    rows = []
    with (folder / METRICS).open("rb") as file:
        for line in file:
            if b'"test/accuracy"' not in line:
                continue
            row = json.loads(line)
            keys = ("step", "epoch", "test/accuracy")
            if not isinstance(row, dict) or not all(isinstance(row.get(key), int | float) for key in keys):
                raise ValueError(f"{METRICS} has a line that is not an evaluation row: {line[:60]!r}")
            rows.append(row)
    return rows
