"""Finds the run folders that a user names: by path, by pattern, by ``latest``, by their sweep, or in the zoo."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from mnist_lite import files
from mnist_lite.errors import UserError
from mnist_lite.insight import zoo
from mnist_lite.runner.config_file import CONFIG
from mnist_lite.sweeps.manifest import MANIFEST, read_manifest

LATEST = "latest"
RUNS = Path("runs")
"""The folder in which ``latest`` is looked for."""


def is_run(folder: Path) -> bool:
    """True for the folder of a run."""
    return (folder / CONFIG).is_file()


def is_sweep(folder: Path) -> bool:
    """True for the folder of a sweep."""
    return (folder / MANIFEST).is_file()


def runs_in(folder: Path) -> list[Path]:
    """The run folders directly in ``folder``, newest first. The time is that of ``config.yaml``, which a start writes."""
    try:
        found = [path for path in folder.iterdir() if not path.is_symlink() and is_run(path)]
    except OSError:
        return []
    return sorted(found, key=lambda path: ((path / CONFIG).lstat().st_mtime, path.name), reverse=True)


def latest(root: Path = RUNS) -> Path:
    """The newest run folder in ``root`` and in its sweeps.

    Raises:
        UserError: there is none.
    """
    folders = [root, *(path for path in (root / "sweeps").glob("*") if is_sweep(path))]
    newest = [runs[0] for folder in folders if (runs := runs_in(folder))]
    if not newest:
        raise UserError(f"latest: there is no run in {root}")
    return max(newest, key=lambda path: (path / CONFIG).lstat().st_mtime)


def find_runs(names: Sequence[str], root: Path = RUNS) -> list[Path]:
    """The run folders that ``names`` stand for, each once, in the order of ``names``.

    A name is the folder of a run, the folder of a sweep (all its jobs that have started), ``latest``, a pattern such as
    ``runs/*_era4``, or ``zoo:<name>`` for shipped weights.

    Raises:
        UserError: a name stands for nothing.
    """
    return list(dict.fromkeys(path for name in names for path in _find(name, root)))


def _find(name: str, root: Path) -> Iterable[Path]:
    if name == LATEST:
        return [latest(root)]
    if name.startswith(zoo.PREFIX):
        return [zoo.folder_of(name)]
    folder = Path(name)
    if folder.is_dir():
        return _in_folder(folder)
    matches = sorted(Path(match) for match in glob.glob(name)) if glob.has_magic(name) else []  # noqa: PTH207  a whole path
    runs = [
        path for match in matches if match.is_dir() and (is_run(match) or is_sweep(match)) for path in _in_folder(match)
    ]
    if not runs:
        raise UserError(
            f"{name}: no run folder or sweep folder; name a folder, a pattern such as 'runs/*_era4', latest, or zoo:<name>"
        )
    return runs


def _in_folder(folder: Path) -> list[Path]:
    folder = files.real_folder(folder)
    if is_run(folder):
        return [folder]
    if not is_sweep(folder):
        raise UserError(f"{folder} is not the folder of a run or of a sweep: it has neither {CONFIG} nor {MANIFEST}")
    jobs = [folder / entry.folder for entry in read_manifest(folder) if entry.folder]
    runs = [job for job in jobs if not job.is_symlink() and is_run(job)]
    if not runs:
        raise UserError(f"{folder}: no job of this sweep has started")
    return runs
