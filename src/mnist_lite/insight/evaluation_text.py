"""The figures of evaluated runs as text for a terminal, as JSON, and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mnist_lite.insight.activations import LayerActivity
from mnist_lite.insight.evaluated_run import EvaluatedRun
from mnist_lite.insight.evaluation import Evaluation
from mnist_lite.model.budget import describe_test_set
from mnist_lite.reporting import text_layout

SHOWN_PAIRS = 5


def as_text(evaluated: EvaluatedRun, width: int | None) -> str:
    """All figures of one run. The lines fit 80 columns."""
    run, test = evaluated.run, evaluated.test
    low, high = test.interval
    pairs = ", ".join(f"{p.true} as {p.predicted} ({p.images})" for p in test.confused_pairs[:SHOWN_PAIRS])
    lines = [
        f"{run.name}: {run.network.parameters:,} parameters, {run.weights}",
        f"measured on {describe_test_set(evaluated.data.name, test.images)}",
        "",
        f"accuracy          {test.accuracy:.2f} %, 95 % interval {low:.2f} to {high:.2f}, {len(test.mistakes):,} mistakes",
        f"loss              {test.loss:.4f}",
        f"train accuracy    {evaluated.train_accuracy:.2f} % on {len(evaluated.data.train):,} training images, "
        "without augmentation",
        f"train minus test  {evaluated.gap:+.2f}",
        f"ECE               {test.ece:.2f} %, {len(test.bins)} bins",
        f"most confused     {pairs or 'none'}",
    ]
    return "\n".join(
        [
            *(text_layout.wrapped(line, width) for line in lines),
            "",
            *_class_table(test, width),
            "",
            *_confusion_table(test, width),
            *(["", *_activity_table(evaluated.activity, width)] if evaluated.activity else []),
        ]
    )


def as_table(runs: Sequence[tuple[str, EvaluatedRun]], width: int | None) -> str:
    """One line for each run. Each run comes with the name that is shown."""
    heads = ("run", "parameters", "accuracy", "95 % interval", "loss", "train minus test", "ECE", "data")
    rows = [
        (
            name,
            f"{e.run.network.parameters:,}",
            f"{e.test.accuracy:.2f}",
            f"{e.test.interval[0]:.2f} to {e.test.interval[1]:.2f}",
            f"{e.test.loss:.4f}",
            f"{e.gap:+.2f}",
            f"{e.test.ece:.2f}",
            e.data.name,
        )
        for name, e in runs
    ]
    sets = dict.fromkeys(describe_test_set(e.data.name, e.test.images) for _, e in runs)
    lines = text_layout.table(heads, rows, left={0, 7}, width=width, drop=(6, 5, 4, 1))
    return "\n".join([*lines, text_layout.wrapped(f"measured on {' and '.join(sets)}", width)])


def as_dict(evaluated: EvaluatedRun) -> dict[str, Any]:
    """All figures of one run, for ``evaluation.json``."""
    run, test = evaluated.run, evaluated.test
    figures = asdict(test)
    return {
        "run": str(run.path),
        "name": run.name,
        "data": evaluated.data.name,
        "epoch": run.epoch,
        "in_epoch": run.in_epoch,
        "parameters": run.network.parameters,
        "fully_connected": run.network.fully_connected,
        "train": {
            "images": len(evaluated.data.train),
            "accuracy": evaluated.train_accuracy,
            "loss": evaluated.train_loss,
        },
        "train_minus_test": evaluated.gap,
        **figures,
        "confused_pairs": [asdict(pair) for pair in test.confused_pairs],
        "activity": [asdict(layer) for layer in evaluated.activity],
    }


def as_json(evaluated: EvaluatedRun) -> bytes:
    """``as_dict`` as the content of a file."""
    return (json.dumps(as_dict(evaluated), indent=1) + "\n").encode()


def as_csv(runs: Sequence[tuple[str, EvaluatedRun]]) -> bytes:
    """The table of ``as_table`` in full precision, for ``evaluation.csv``."""
    text = io.StringIO()
    columns = ("run", "parameters", "accuracy", "low", "high", "loss", "train_accuracy", "train_minus_test", "ece")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*columns, "data", "test_images"])
    for name, e in runs:
        figures = (e.test.accuracy, *e.test.interval, e.test.loss, e.train_accuracy, e.gap, e.test.ece)
        table.writerow([name, e.run.network.parameters, *figures, e.data.name, e.test.images])
    return text.getvalue().encode()


def _class_table(test: Evaluation, width: int | None) -> list[str]:
    rows = [
        (str(c.digit), f"{c.images:,}", f"{c.precision:.2f}", f"{c.recall:.2f}", f"{c.f1:.2f}") for c in test.classes
    ]
    return text_layout.table(("digit", "images", "precision", "recall", "F1"), rows, left=(), width=width)


def _confusion_table(test: Evaluation, width: int | None) -> list[str]:
    heads = ("true", *(f"as {digit}" for digit in range(len(test.confusion))))
    rows = [
        (str(digit), *("." if count == 0 else str(count) for count in row)) for digit, row in enumerate(test.confusion)
    ]
    return text_layout.table(heads, rows, left=(), width=width)


def _activity_table(activity: Sequence[LayerActivity], width: int | None) -> list[str]:
    rows = [(str(a.number), a.text, str(a.units), str(a.dead), f"{100 * a.zeros:.1f}") for a in activity]
    return text_layout.table(("#", "layer", "units", "dead", "zeros, %"), rows, left={1}, width=width)
