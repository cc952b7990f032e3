"""What ``mnist-lite lr_find`` does: a range test, a table of its suggestions, a picture and a JSON file."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mnist_lite import files
from mnist_lite.backends.device import describe_device
from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import LrFindConfig
from mnist_lite.errors import RunError, UserError
from mnist_lite.reporting import lr_curve, text_layout
from mnist_lite.reporting.png import DrawingError
from mnist_lite.runner.lr_finder import find_lr
from mnist_lite.training.lr_range import LossCurve, RangeTest

FAR_APART = 10.0
"""The factor between two suggestions from which on the table says that they disagree."""
MEANINGS = (
    "the smoothed loss falls fastest; optimizer.lr=auto uses this one",
    "a tenth of the rate at which the smoothed loss is lowest",
    "the middle of the longest fall of the smoothed loss",
)


def lr_find(config: LrFindConfig) -> int:
    """Does a range test as ``config`` says, prints the suggestions, and writes the picture and the JSON file.

    Returns the exit code.

    Raises:
        UserError: the config, the data or the folder ``config.output`` is not usable.
        RunError: the loss did not fall, or a file cannot be written.
    """
    test = RangeTest(config.lr_min, config.lr_max, config.steps)
    if test.lr_min >= test.lr_max:
        raise UserError(f"lr_max: {test.lr_max:g} is out of range; expected more than lr_min, which is {test.lr_min:g}")
    folder = files.real_folder(user_path("output", config.output))
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output: {folder} is not a folder")
    with tqdm(desc="range test", total=test.steps, leave=False, disable=None, delay=2) as bar:
        curve, parts = find_lr(config, test, bar.update)
    data = parts.data
    if data.warning:
        print(text_layout.wrapped(data.warning, text_layout.width_of(sys.stderr)), file=sys.stderr)
    title = (
        f"{config.name}, {parts.network.parameters:,} parameters: range test on the {len(data.train):,} training images of "
        f"{data.name}, seed {config.seed}"
    )
    device = f"{describe_device(parts.trainer.device, parts.plan.threads)}, {parts.plan}"
    print(as_text(curve, title, f"{config.steps} steps of {min(config.batch_size, len(data.train))} images; {device}"))
    result = {
        "name": config.name,
        "seed": config.seed,
        "data": data.name,
        "training_images": len(data.train),
        "parameters": parts.network.parameters,
        "batch_size": config.batch_size,
        **asdict(test),
        **asdict(curve),
        "disagreement": curve.disagreement,
    }
    for path in write_files(folder, f"lr_find_{files.slug(config.name)}", curve, title, result):
        print(path)
    return 0


def as_text(curve: LossCurve, title: str, conditions: str) -> str:
    """The suggestions as a table, and how far they disagree."""
    width = text_layout.width_of(sys.stdout)
    rows = [
        (name, f"{rate:g}", meaning) for (name, rate), meaning in zip(curve.suggestions.items(), MEANINGS, strict=True)
    ]
    table = text_layout.table(("suggestion", "lr", "the rate at which ..."), rows, left={0, 2}, width=width)
    lines = [
        title,
        f"{conditions}. The first {curve.burn_in} steps are a burn-in: no suggestion comes from them.",
        "",
        *table,
        "",
        f"The largest suggestion is {curve.disagreement:.1f} times the least."
        + (
            " They disagree: look at the curve, or train with several rates." if curve.disagreement >= FAR_APART else ""
        ),
    ]
    return "\n".join(text_layout.wrapped(line, width) for line in lines)


def write_files(folder: Path, name: str, curve: LossCurve, title: str, result: dict[str, Any]) -> list[Path]:
    """Writes ``<name>.png`` and ``<name>.json`` into ``folder``. Returns their paths.

    Raises:
        RunError: a file cannot be written, or the picture cannot be drawn.
    """
    try:
        picture = lr_curve.draw(curve.rates, curve.losses, curve.smoothed, curve.suggestions, title)
    except DrawingError as error:
        raise RunError(f"the curve was not drawn: {error}") from error
    contents = {folder / f"{name}.png": picture, folder / f"{name}.json": json.dumps(result, indent=1).encode()}
    with files.machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        files.write(path, content)
    return list(contents)
