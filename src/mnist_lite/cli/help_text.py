"""The text of ``--help`` for each command.

The comments in ``conf/`` are the only source of what a file or a key means. The first comment line of a file describes the file.
The comment beside a key describes the key. Nothing here imports torch.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH = 80
COMMENT_COLUMN = 30
"""Where the comments of keys start."""
NOT_FOR_USERS = ("defaults", "hydra")
"""Blocks of a config file that choose files and set up Hydra."""
RECIPE_GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "experiment")
_KEY = re.compile(r"( *)(\w+): *([^#]*?) *(?:# ?(.*))?$")


@dataclass(frozen=True)
class Command:
    """What the help of a command says beside the contents of ``conf/``."""

    name: str
    does: str
    examples: tuple[str, ...]
    """Arguments of the command."""
    groups: tuple[str, ...] = ()
    """Folders of ``conf/`` whose files are listed."""
    keys: tuple[tuple[str, str], ...] = ()
    """Config files, relative to ``conf/``, and the prefix of their keys."""
    more: str = ""
    """The last paragraph."""


OF_TRAIN = "Every key and every choice of mnist_lite.train is allowed here, too. To see them: python -m mnist_lite.train --help."
FILES = (
    "A choice such as model=step3 is the file conf/model/step3.yaml. Files of your own go to <folder>/<group>/<name>.yaml. "
    "The flag --config-dir <folder> finds them. --cfg job prints the composed config and does nothing else. --hydra-help "
    "explains all flags."
)
COMMANDS = {
    "config": Command(
        "train",
        "Trains a network on MNIST and writes a run folder. With -m, or with a sweep=<name> other than free, it trains one "
        "network for every combination of the values and writes a table.",
        (
            "model=step3",
            "experiment=era4 seed=1",
            "model=step3 optimizer=sgd optimizer.lr=0.1 epochs=5",
            "-m model=step3 optimizer.lr=0.01,0.03,0.1",
            "sweep=lr experiment=era4",
            "resume=runs/<run>",
            "experiment=smoke",
        ),
        (*RECIPE_GROUPS, "sweep", "hydra/launcher"),
        (("config.yaml", ""), ("data/mnist.yaml", "data.")),
        "A model, an optimizer, a scheduler and an augmentation have keys of their own, such as optimizer.lr. To see those of a "
        "choice: python -m mnist_lite.train model=era4 optimizer=sgd --cfg job. " + FILES,
    ),
    "summary": Command(
        "summary",
        "Prints the layers of a model with their shapes, parameters and receptive fields, and the verdict on the model's budget. "
        "It trains nothing.",
        (
            "model=step3",
            "model=step3 format=json",
            "experiment=era4 budget.enforce=true",
            "--config-dir mine model=tiny",
        ),
        ("model", "experiment"),
        (("summary.yaml", ""),),
        f"{OF_TRAIN} {FILES}",
    ),
    "bench": Command(
        "bench",
        "Measures the speed of this tool's training loop against a plain PyTorch loop, on real MNIST. It writes no run folder.",
        ("model=era4", "model=era4 rounds=3 images=3200", "model=step3 augment=none threads=1"),
        ("model", "augment", "optimizer", "scheduler", "experiment"),
        (("bench.yaml", ""),),
        f"{OF_TRAIN} {FILES}",
    ),
    "compare": Command(
        "compare",
        "Prints the table of a sweep as it stands and draws its plots again. It trains nothing and takes no config keys.",
        ("runs/sweeps/<name>", "runs/sweeps/<name> verify=true"),
    ),
}
"""By the name of the command's config file in ``conf/``. ``compare`` has none."""


def render(command: Command, folders: Sequence[Path]) -> str:
    """The help of ``command``. ``folders`` are the shipped ``conf/`` and, with ``--config-dir``, the user's folder."""
    lines = [f"usage: python -m mnist_lite.{command.name} [flags] [<key>=<value> ...]", "", *_wrapped(command.does)]
    lines += ["", *examples(command).splitlines()]
    for group in command.groups:
        entries = dict(entry for folder in folders for entry in choices(folder / group))
        width = max(map(len, entries))
        lines += ["", f"{group}=<name>", *(f"  {name:<{width}}  {text}".rstrip() for name, text in entries.items())]
    lines += ["", "<key>=<value>, with the defaults:"]
    for file, prefix in command.keys:
        lines += _keys((folders[0] / file).read_text(encoding="utf-8"), prefix)
    return "\n".join([*lines, "", *_wrapped(command.more)])


def examples(command: Command) -> str:
    """The examples of ``command``, one per line."""
    return "\n".join(["examples:", *(f"  python -m mnist_lite.{command.name} {words}" for words in command.examples)])


def choices(group: Path) -> Iterator[tuple[str, str]]:
    """The name and the first comment line of every file in the folder ``group``."""
    for path in sorted(group.glob("*.yaml")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        comments = [line.lstrip("# ") for line in lines if line.startswith("#") and not line.startswith("# @package")]
        yield path.stem, comments[0] if comments else ""


def _keys(text: str, prefix: str) -> Iterator[str]:
    """The keys of a config file with their values and comments."""
    parent, skipped, entries = "", False, list[tuple[str, str]]()
    for line in text.splitlines()[1:]:  # the first line describes the file
        found = _KEY.match(line)
        if found and not line.startswith("#"):
            indent, key, value, comment = found.groups()
            if not indent:
                parent, skipped = ("", key in NOT_FOR_USERS)
            if skipped or (prefix and key == "name"):  # the choice of the file sets its name
                continue
            shown = f"={value}" if value and not value.startswith("${") else ""  # --cfg job shows what is interpolated
            if not indent and not value:
                parent, shown = f"{key}.", ".*"
            entries.append((f"{prefix}{parent if indent else ''}{key}{shown}", comment or ""))
        elif line.lstrip().startswith("#") and entries and not skipped:  # the comment goes on
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {line.lstrip('# ')}")
    for words, comment in entries:
        yield from _entry(words, comment)


def _entry(words: str, comment: str) -> list[str]:
    lines = _wrapped(comment, " " * COMMENT_COLUMN)
    head = f"  {words}"
    if lines and len(head) < COMMENT_COLUMN - 1:
        return [head + lines[0][len(head) :], *lines[1:]]
    return [head, *lines]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
