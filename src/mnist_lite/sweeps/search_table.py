"""The table of a search as text: its best trials by held-out accuracy, and a command that runs the best one at five seeds."""

from __future__ import annotations

from collections.abc import Sequence

from mnist_lite.config.overrides import config_dir_flag, train_command
from mnist_lite.reporting import text_layout
from mnist_lite.sweeps.results import JobRow, describe_images
from mnist_lite.sweeps.table import short_cells, shown_keys, totals

MAX_ROWS = 10
EXCLUDED_KEYS = ("seed", "data.holdout", "sweep")
"""Overrides that the command for the best trial does not have."""


def as_text(rows: Sequence[JobRow], width: int | None = None) -> str:
    """The table of a search in lines of at most ``width``. Test accuracy is shown for the best trial only."""
    done = sorted((row for row in rows if row.holdout_final is not None), key=lambda row: -(row.holdout_final or 0.0))
    if not done:
        return text_layout.wrapped("\n".join(totals(rows, "trial")), width)
    keys, keys_note = shown_keys([row.overrides for row in rows])
    lines = [
        short_cells([*(row.overrides.get(key, "") for key in keys), f"{row.holdout_final:.2f}", f"{row.parameters:,}"])
        for row in done[:MAX_ROWS]
    ]
    best = done[0]
    overrides = [f"{key}={value}" for key, value in best.overrides.items() if key not in EXCLUDED_KEYS]
    text = [
        f"the best trials by accuracy on {' and '.join(describe_images(rows, 'holdout'))}, one seed each:",
        *text_layout.table(short_cells([*keys, "holdout accuracy", "parameters"]), lines, range(len(keys)), width),
        *keys_note,
        f"the first has {best.final:.2f} % on {describe_images([best], 'test')[0]}. They were not used to select it.",
        "This is one run. To try the same settings with five seeds:",
        train_command(["-m", *config_dir_flag(), *overrides, "seed=range(5)"]),
        *totals(rows, "trial"),
    ]
    return text_layout.wrapped("\n".join(text), width)
