"""The figures of a finished run, from its rows: what goes into ``summary.json`` and into the last lines on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

Rows = Sequence[Mapping[str, float | int | bool]]

CHANCE_LOSS = math.log(10)
LAST_EPOCHS = 5


def accuracies(rows: Rows) -> dict[str, dict[str, float]]:
    """First-epoch, final, best and mean-of-last-5 accuracy in percent for train, test and holdout, and train minus test.

    ``rows`` are those of ``metrics.jsonl``. Final and mean-of-last-5 are of whole epochs and choose nothing; ``best`` of
    test is chosen on the test images themselves, as the published figures were, and flatters. ``selected``, with a
    holdout, is the test accuracy of the epoch that is best on the holdout: an honest choice.
    """
    ends = epoch_ends(rows)
    keys = {"test": "test/accuracy", "train": "train/epoch_accuracy", "holdout": "holdout/accuracy"}
    result = {}
    for split, key in keys.items():
        values = [float(row[key]) for row in ends if key in row]
        if values:
            best = max(range(len(values)), key=lambda i: values[i])
            result[split] = {
                "first_epoch": values[0],
                "final": values[-1],
                "best": values[best],
                "best_epoch": int(ends[best]["epoch"]),
                "mean_last_5": fmean(values[-LAST_EPOCHS:]),
            }
    if "holdout" in result:
        chosen = next(row for row in ends if row["epoch"] == result["holdout"]["best_epoch"])
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


def has_died(row: Mapping[str, float | int | bool]) -> bool:
    """Whether an epoch ended as if the network gave every digit the same chance: a mean loss of ln 10 = 2.303."""
    return bool(row.get("epoch_end")) and abs(float(row["train/epoch_loss"]) - CHANCE_LOSS) < 0.01


def epoch_line(row: Mapping[str, float | int | bool], epochs: int) -> str:
    """One line for one evaluation."""
    width = len(str(epochs))
    where = f"epoch {row['epoch']:{width}d}/{epochs}" if row["epoch_end"] else f"step {row['step']}"
    held = f"   holdout {row['holdout/accuracy']:6.2f} %" if "holdout/accuracy" in row else ""
    return (
        f"{where}   train {row['train/epoch_accuracy']:6.2f} %  loss {row['train/epoch_loss']:.4f}{held}   "
        f"test {row['test/accuracy']:6.2f} %  loss {row['test/loss']:.4f}   lr {row['lr']:.2g}   "
        f"{row['seconds/train']:.1f} s + {row['seconds/eval']:.1f} s"
    )
