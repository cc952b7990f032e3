"""The zoo: trained networks that are shipped with this package. Their names are ``zoo:<name>``.

The folder ``zoo/<name>/`` has the files of a finished run that say what it is and what it reached: ``config.yaml``,
``metrics.jsonl`` (evaluations only) and ``summary.json``. It has two more:

- ``weights.safetensors``: the weights. The metadata have the config and the normalisation: see ``saved_run.Description``.
- ``card.json``, and the same for people in ``card.md``: see ``Card``.

``scripts/zoo.py`` makes such a folder from a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mnist_lite import files
from mnist_lite.errors import UserError, did_you_mean
from mnist_lite.runner.summary import DataRecord

PREFIX = "zoo:"
ZOO = Path(__file__).resolve().parents[1] / "zoo"
CARD = "card.json"
MAX_BYTES = files.MB


class Figure(Struct, frozen=True, kw_only=True):
    """A measured accuracy."""

    what: str
    percent: float
    n: int
    """The number of images."""
    interval: tuple[float, float] | None = None
    """Wilson's 95 % interval in percent: how far chance in the choice of the ``n`` images can move the accuracy.

    None: the accuracy is not of one network on independent images.
    """


class OverSeeds(Struct, frozen=True, kw_only=True):
    """The final test accuracy of a recipe over the seeds in docs/results.csv, in percent."""

    mean: float
    deviation: float
    """The sample standard deviation."""
    n: int
    """The number of seeds."""


class Card(Struct, frozen=True, kw_only=True):
    """A model card."""

    name: str
    sha256: str
    """Of ``weights.safetensors``."""
    parameters: int
    multiply_adds: int
    """Of one image."""
    seed: int
    epochs: int
    data: DataRecord
    figures: list[Figure]
    over_seeds: OverSeeds
    """The accuracy of the recipe that trained this network."""
    test_images: str
    """How the test images were used."""
    versions: dict[str, str]
    git: str | None
    """The commit that trained the network."""
    config: dict[str, Any]


def names() -> list[str]:
    """The names of all shipped networks, without ``zoo:``."""
    return sorted(path.parent.name for path in ZOO.glob(f"*/{CARD}"))


def folder_of(name: str) -> Path:
    """The folder of the shipped network ``name``, such as ``zoo:era4``.

    Raises:
        UserError: there is no such network.
    """
    known = names()
    if name.removeprefix(PREFIX) not in known:
        raise UserError(
            f"{name}: there are no such weights; {did_you_mean(name, [PREFIX + known_name for known_name in known])}"
        )
    return ZOO / name.removeprefix(PREFIX)


def name_of(folder: Path) -> str:
    """What a user calls the run folder: ``zoo:<name>``, or its path."""
    return f"{PREFIX}{folder.name}" if folder.parent == ZOO else str(folder)


def read_card(folder: Path) -> Card:
    """The card of the shipped network in ``folder``.

    Raises:
        OSError: there is no card, or it is damaged.
    """
    return files.decode(files.read(folder / CARD, MAX_BYTES), Card)


def card_text(card: Card) -> str:
    """The content of ``card.md``."""
    lines = [
        f"# {PREFIX}{card.name}",
        "",
        f"{card.parameters:,} parameters, {card.multiply_adds:,} multiply-adds per image. Trained for {card.epochs} epochs on "
        f"{card.data['train']:,} images of {card.data['name']}, with seed {card.seed}.",
        "",
        "| figure | % | images | 95 % interval |",
        "|---|---|---|---|",
    ]
    for figure in card.figures:
        interval = "" if figure.interval is None else f"{figure.interval[0]:.2f} to {figure.interval[1]:.2f}"
        lines.append(f"| {figure.what} | {figure.percent:.2f} | {figure.n:,} | {interval} |")
    over = card.over_seeds
    lines += [
        "",
        f"**Over seeds.** The recipe has a final test accuracy of {over.mean:.2f} ± {over.deviation:.2f} % "
        f"(mean and standard deviation of {over.n} seeds). This network is one run, with seed {card.seed}, whatever it reached.",
        "",
        f"**Test images.** {card.test_images}",
        "",
        f"**Input.** `(pixels / 255 - {card.data['mean']:.6f}) / {card.data['std']:.6f}`, shape `(N, 1, 28, 28)`. "
        "Ink is 255, paper is 0.",
        "",
        f"**File.** `weights.safetensors`, SHA-256 `{card.sha256}`.",
        "",
        f"**Made with** {', '.join(f'{name} {number}' for name, number in card.versions.items())}, commit {card.git}.",
        "",
        "**Config.** See `config.yaml` beside this file.",
        "",
    ]
    return "\n".join(lines)


def card_json(card: Card) -> bytes:
    """The content of ``card.json``."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
