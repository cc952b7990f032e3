"""The figures of a finished run, from its rows: what goes into ``summary.json`` and into the last lines on the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from mnist_lite.fit import first_that_fits

Rows = Sequence[Mapping[str, float | int | bool]]

SUMMARY = "summary.json"
CHANCE_LOSS = math.log(10)
LAST_EPOCHS = 5
ENOUGH_STEPS = 100


def accuracies(rows: Rows) -> dict[str, dict[str, float]]:
    """First-epoch, final, best and mean-of-last-5 accuracy in percent for train, test and holdout, and train minus test.

    ``rows`` are those of ``metrics.jsonl``. Final and mean-of-last-5 are of whole epochs and choose nothing; best is of all
    evaluations, the first of equals, as ``best.pt`` is. That of test is chosen on the test images themselves, as the
    published figures were, and flatters. ``selected``, with a holdout, is the test accuracy where the holdout is best: an
    honest choice.
    """
    ends = epoch_ends(rows)
    evaluations = [row for row in rows if "test/accuracy" in row]
    keys = {"test": "test/accuracy", "train": "train/epoch_accuracy", "holdout": "holdout/accuracy"}
    result = {}
    for split, key in keys.items():
        values = [float(row[key]) for row in ends if key in row]
        if values:
            best = max(evaluations, key=lambda row: float(row[key]))
            result[split] = {
                "first_epoch": values[0],
                "final": values[-1],
                "best": float(best[key]),
                "best_epoch": int(best["epoch"]),
                "mean_last_5": fmean(values[-LAST_EPOCHS:]),
            }
    if "holdout" in result:
        chosen = max(evaluations, key=lambda row: float(row["holdout/accuracy"]))
        result["selected"] = {"epoch": int(chosen["epoch"]), "test": float(chosen["test/accuracy"])}
    if result:
        result["gap"] = {
            key: result["train"][key] - result["test"][key] for key in ("first_epoch", "final", "best", "mean_last_5")
        }
    return result


def epoch_ends(rows: Rows) -> list[Mapping[str, float | int | bool]]:
    """The evaluation of each epoch: at its end, or where the run was stopped inside of it."""
    evaluations = [row for row in rows if "test/accuracy" in row]
    last = {row["epoch"]: row for row in evaluations}
    return list(last.values())


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
    return bool(row["epoch_end"]) and steps >= ENOUGH_STEPS and stuck


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
    return first_that_fits(texts, width)


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What a finished run says of itself; None if there is nothing, or nothing whole."""
    try:
        found = json.loads((folder / SUMMARY).read_text("utf-8"))
        accuracy = found["accuracy"]
        figures = [accuracy["test"][name] for name in ("final", "best", "mean_last_5")]
        figures += [accuracy["train"]["final"], *([accuracy["holdout"]["final"]] if "holdout" in accuracy else [])]
        if not all(
            isinstance(value, int | float) for value in (*figures, *found["seconds"].values(), found["parameters"])
        ):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(found)
