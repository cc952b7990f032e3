"""The text of a training's progress: the line of an evaluation, and the bar of an epoch.

Input: a row of ``metrics.jsonl`` and the width of the terminal (None: no limit). Accuracies and the learning rate are in every
form of the text. ``console.py`` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping

from mnist_lite.reporting.text_layout import first_fitting

WIDE = 80
"""From this width on, the bar has the loss and the remaining time."""


def epoch_line(row: Mapping[str, float], epochs: int, width: int | None = None) -> str:
    """The line of an evaluation in a run of ``epochs`` epochs."""
    number = f"{row['epoch']:{len(str(epochs))}d}/{epochs}"
    place = f"epoch {number}" if row["epoch_end"] else f"step {row['step']}"
    short = number if row["epoch_end"] else place
    train, test = row["train/epoch_accuracy"], row["test/accuracy"]
    train_time, test_time = row["seconds/train"], row["seconds/eval"]
    holdout = [row["holdout/accuracy"]] if "holdout/accuracy" in row else []
    lr = f"lr {row['lr']:.2g}"
    full = [
        place,
        f"train {train:6.2f} %  loss {row['train/epoch_loss']:.4f}",
        *(f"holdout {accuracy:6.2f} %" for accuracy in holdout),
        f"test {test:6.2f} %  loss {row['test/loss']:.4f}",
        lr,
        f"{train_time:.1f} s + {test_time:.1f} s",
    ]
    medium = [short, f"train {train:6.2f} %", *full[2:-3], f"test {test:6.2f} %", lr, f"{train_time + test_time:.1f} s"]
    narrow = [short, f"train {train:.2f}", *(f"held {accuracy:.2f}" for accuracy in holdout), f"test {test:.2f}", lr]
    return first_fitting(["   ".join(full), "  ".join(medium), " ".join(narrow)], width)


def bar_format(width: int | None) -> str:
    """tqdm's ``bar_format``. The bar fills the rest of the width."""
    time = "{elapsed}<{remaining}" if width is None or width >= WIDE else "{elapsed}"
    return f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| [{time}{{postfix}}]"


def bar_postfix(row: Mapping[str, float], width: int | None) -> str:
    """tqdm's ``postfix``: the metrics of a training row."""
    loss = f"loss {row['train/loss']:.3f}, " if width is None or width >= WIDE else ""
    return f"{loss}acc {row['train/accuracy']:.1f} %, lr {row['lr']:.2g}"
