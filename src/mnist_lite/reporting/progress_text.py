"""The text of a training's progress: the bar of an epoch, and the line of an evaluation.

Input: a row of ``metrics.jsonl`` and the width of the terminal. Output: the longest form that fits. Accuracies and the
learning rate are in every form. ``console.py`` prints the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from mnist_lite.reporting.text_layout import first_fitting


def epoch_line(row: Mapping[str, float], epochs: int, width: int | None = None) -> str:
    """The line of one evaluation in a run of ``epochs`` epochs. None: any width."""
    number = f"{row['epoch']:{len(str(epochs))}d}/{epochs}"
    long, short = (f"epoch {number}", number) if row["epoch_end"] else (f"step {row['step']}",) * 2
    train, test = f"train {row['train/epoch_accuracy']:6.2f} %", f"test {row['test/accuracy']:6.2f} %"
    train_loss, test_loss = f"loss {row['train/epoch_loss']:.4f}", f"loss {row['test/loss']:.4f}"
    holdout = [f"holdout {row['holdout/accuracy']:6.2f} %"] if "holdout/accuracy" in row else []
    lr = f"lr {row['lr']:.2g}"
    times = f"{row['seconds/train']:.1f} s + {row['seconds/eval']:.1f} s"
    time = f"{row['seconds/train'] + row['seconds/eval']:.1f} s"
    texts = [
        "   ".join([long, f"{train}  {train_loss}", *holdout, f"{test}  {test_loss}", lr, times]),
        "   ".join([long, train, *holdout, test, lr, time]),
        *(gap.join([short, train, *holdout, test, lr, time]).replace("  %", " %") for gap in ("  ", " ")),
        " ".join([short, train, *holdout, test, lr]).replace(" %", "").replace("  ", " ").replace("holdout", "held"),
    ]
    return first_fitting(texts, width)


def bar_format(
    epoch: int, epochs: int, row: Mapping[str, float] | None, meter: Mapping[str, Any], width: int | None
) -> str:
    """tqdm's ``bar_format`` for an epoch. ``row`` is the latest training row, and ``meter`` is tqdm's ``format_dict``."""
    number = f"{epoch:{len(str(epochs))}d}/{epochs}"
    long = short = ""
    if row is not None:
        loss, accuracy, lr = f"{row['train/loss']:.3f}", f"{row['train/accuracy']:.1f}", f"{row['lr']:.2g}"
        long, short = f" loss {loss}, accuracy {accuracy} %, lr {lr}", f" loss {loss} acc {accuracy} % lr {lr}"
    percent = "{percentage:3.0f}%"
    formats = [
        f"epoch {number}: {percent}|{{bar}}| {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{{remaining}}, {{rate_fmt}}]{long}",
        f"epoch {number}: {percent}|{{bar}}| [{{elapsed}}<{{remaining}}]{long}",
        f"epoch {number}: {percent}|{{bar}}|{short}",
        f"{number}: {percent}{short}",
    ]
    texts = [tqdm.format_meter(**{**meter, "ncols": None, "bar_format": form}) for form in formats]
    return formats[texts.index(first_fitting(texts, width))]
