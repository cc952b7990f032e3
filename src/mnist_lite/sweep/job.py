"""One job of a sweep: a resolved config, the folder that belongs to it, and what has become of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from mnist_lite.results import read_summary
from mnist_lite.schema import Config

LONGEST_NAME = 160
ERROR = "error.txt"
INDIFFERENT = ("name", "runs_dir", "resume", "device", "threads", "checkpoint", "sweep", "choices")
"""Parts of a config that do not make another job of it: where it runs, and how it is called."""
DONE, FAILED, CUT, MISSING = "done", "failed", "cut", "missing"


def indifferent(key: str) -> bool:
    """Whether an override of ``key`` leaves the job what it is."""
    return key.partition(".")[0] in INDIFFERENT or key == "data.root"


@dataclass(frozen=True, eq=False)
class Job:
    """A run that a sweep wants."""

    overrides: tuple[str, ...]
    """What the sweep varies: ``optimizer.lr=0.01``."""
    config: Config
    folder: Path


@dataclass(frozen=True, eq=False)
class Refused:
    """A job whose config is not one."""

    overrides: tuple[str, ...]
    error: str


def without_sweep(words: Iterable[str]) -> tuple[str, ...]:
    """``words`` but for those that say how the sweep is carried out: they do not make another job of it."""
    return tuple(word for word in words if not word.startswith("sweep."))


def identity(config: Config) -> str:
    """Twelve hexadecimal digits that are the same for two configs exactly if the same run comes out of them."""
    parts = {key: value for key, value in asdict(config).items() if key not in INDIFFERENT}
    parts["data"] = {key: value for key, value in parts["data"].items() if key != "root"}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def known_folders(root: Path) -> dict[str, Path]:
    """The folders of a sweep by the identity of their job."""
    return {path.name.rpartition("_")[2]: path for path in root.iterdir()} if root.is_dir() else {}


def folder_of(config: Config, known: Callable[[str], Path | None]) -> Path:
    """Where the run of ``config`` lives in its sweep: the same for the same job, by whatever words it was asked for.

    ``known`` gives the folder of an identity, if there is one.
    """
    mark = identity(config)
    name = re.sub(r"[^A-Za-z0-9.+=,-]+", "_", config.name)[:LONGEST_NAME]
    return known(mark) or Path(config.runs_dir).expanduser() / f"{name}_{mark}"


def status(folder: Path) -> str:
    """``done``, ``failed``, ``cut`` (it can be gone on with) or ``missing``."""
    if read_summary(folder) is not None:
        return DONE
    if (folder / ERROR).is_file():
        return FAILED
    return CUT if (folder / "config.yaml").is_file() else MISSING


def has_checkpoint(folder: Path) -> bool:
    """Whether the run in ``folder`` has saved its state at least once."""
    return (folder / "last.pt").is_file()


def score(folder: Path) -> float | None:
    """What a search is after: final accuracy on the held-out part of train if there is one, else on test; None: not done."""
    found = read_summary(folder)
    return None if found is None else float(found["accuracy"].get("holdout", found["accuracy"]["test"])["final"])
