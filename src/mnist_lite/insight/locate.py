"""Finds the run folders that a user names: by path, by pattern, by ``latest``, by their sweep, or in the zoo."""

from __future__ import annotations

import glob
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from mnist_lite import files
from mnist_lite.errors import UserError, did_you_mean
from mnist_lite.insight import zoo
from mnist_lite.runner.config_file import CONFIG
from mnist_lite.sweeps.manifest import MANIFEST, read_manifest

LATEST = "latest"
RUNS = Path("runs")
"""The folder in which ``latest`` is looked for."""
SWEEPS = "sweeps"
"""The folder in it that has the sweeps."""


def is_run(folder: Path) -> bool:
    """True for the folder of a run."""
    return (folder / CONFIG).is_file()


def is_sweep(folder: Path) -> bool:
    """True for the folder of a sweep."""
    return (folder / MANIFEST).is_file()


def all_runs(root: Path = RUNS) -> list[Path]:
    """The run folders in ``root`` and in its sweeps, newest first. The time is that of ``config.yaml``, which a start writes."""
    found = [entry for folder in (root, *(root / SWEEPS).glob("*")) for entry in _runs_directly_in(folder)]
    return [path for _, path in sorted(found, key=lambda entry: (entry[0], entry[1].name), reverse=True)]


def latest(root: Path = RUNS) -> Path:
    """The newest run folder in ``root`` and in its sweeps.

    Raises:
        UserError: there is none.
    """
    runs = all_runs(root)
    if not runs:
        raise UserError(f"latest: there is no run in {root}")
    return runs[0]


def find_runs(names: Sequence[str], root: Path = RUNS) -> list[Path]:
    """The run folders that ``names`` stand for, each once, in the order of ``names``.

    A name is the folder of a run, the folder of a sweep (all its jobs that have started), ``latest``, a pattern such as
    ``runs/*_era4``, or ``zoo:<name>`` for shipped weights.

    Raises:
        UserError: a name stands for nothing.
    """
    return list(dict.fromkeys(path for name in names for path in _find(name, root)))


def find_submissions(names: Sequence[str]) -> dict[Path, str]:
    """The folders that ``names`` stand for. The value of a run folder is empty, that of another folder says what is wrong.

    A pattern stands for all folders that it matches: a student who hands in an empty folder must not disappear. The folder of
    sweeps, ``runs/sweeps``, is left out: it is no submission.

    Raises:
        UserError: there is no run at all.
    """
    found: dict[Path, str] = {}
    for name in names:
        is_pattern = glob.has_magic(name) and not Path(name).is_dir()
        matches = sorted(f for f in glob.glob(name) if Path(f).is_dir()) if is_pattern else []  # noqa: PTH207  a whole path
        folders = [match for match in matches if not _has_sweeps(Path(match))]
        for folder in folders or [name]:
            try:
                found.update(dict.fromkeys(find_runs([folder]), ""))
            except UserError as error:
                found[Path(folder)] = str(error)
    if all(found.values()):
        raise UserError(next(iter(found.values())))
    return found


def _has_sweeps(folder: Path) -> bool:
    """True for ``runs/sweeps``."""
    return folder.name == SWEEPS and any(map(is_sweep, folder.iterdir()))


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
    if not runs and folder.is_file():
        raise UserError(f"{name}: this is a file, and a run is a folder")
    if not runs and name.lower().partition(":")[0] == zoo.PREFIX.removesuffix(":"):
        raise UserError(
            f"{name}: no shipped network; {did_you_mean(name, map(zoo.name_of, map(zoo.folder_of, zoo.names())))}"
        )
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


def _runs_directly_in(folder: Path) -> list[tuple[float, Path]]:
    """The run folders directly in ``folder``, with the time of their ``config.yaml``."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):  # no run folder, or it was removed just now
                file = (path / CONFIG).lstat()
                if stat.S_ISREG(file.st_mode) and not path.is_symlink():
                    found.append((file.st_mtime, path))
    return found
