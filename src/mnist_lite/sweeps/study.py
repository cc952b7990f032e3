"""``study.log``: the study of a search, as Optuna's journal. Each line is an operation in JSON.

Optuna never opens the file: ``StudyFile`` reads it, and writes new operations. So no link is followed, and no lock file of
Optuna can be left over. A search has its own lock on the folder, see ``search.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import optuna
from optuna.storages.journal import BaseJournalBackend

from mnist_lite import files
from mnist_lite.errors import UserError
from mnist_lite.runner.metrics import Percent
from mnist_lite.sweeps.manifest import STUDY, drop_incomplete_line

NAME = "search"
MAX_BYTES = 16 * files.MB


class Operation(msgspec.Struct):
    """The keys that all operations have. The other keys depend on ``op_code``; Optuna reads them."""

    op_code: int
    worker_id: str


class StudyFile(BaseJournalBackend):
    """The operations in ``study.log``, for Optuna's ``JournalStorage``."""

    def __init__(self, path: Path) -> None:
        """Reads the file. Half a line at its end, which a killed process left, is ignored.

        Raises:
            OSError: the file cannot be read, or a line is not an operation.
        """
        self._path = path
        content = files.read(path, MAX_BYTES)
        lines = content[: content.rfind(b"\n") + 1].splitlines()
        for line in lines:
            files.decode(line, Operation)
        self._operations: list[dict[str, Any]] = [files.decode(line, dict[str, Any]) for line in lines]

    def read_logs(self, log_number_from: int) -> Any:
        """The operations from this number on."""
        return iter(self._operations[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes operations to the disk."""
        with files.open_file(self._path, "ab+") as file:
            drop_incomplete_line(file)
            file.writelines(json.dumps(log).encode() + b"\n" for log in logs)
            files.sync(file, self._path)
        self._operations += logs


def open_study(folder: Path) -> optuna.Study:
    """The study in the folder of a search, to add trials. It is created if there is none.

    Raises:
        UserError: the file is not a study.
        MachineError: the file cannot be written.
    """
    with files.machine_errors(folder / STUDY):
        files.open_file(folder / STUDY, "ab").close()
    storage = _storage(folder)
    study = optuna.create_study(storage=storage, study_name=NAME, direction="maximize", load_if_exists=True)
    _check(study, folder)
    return study


def load_study(folder: Path) -> optuna.Study:
    """A copy of the study in the folder of a search, in memory.

    Raises:
        UserError: the file is not a study.
    """
    storage = _storage(folder)
    with _errors_of_a_study(folder):
        study = optuna.load_study(storage=storage, study_name=NAME)
    return _check(study, folder)


def _storage(folder: Path) -> optuna.storages.JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _errors_of_a_study(folder):
        return optuna.storages.JournalStorage(StudyFile(folder / STUDY))


def _check(study: optuna.Study, folder: Path) -> optuna.Study:
    """A copy of ``study`` in memory. Optuna checks each trial that is added to it."""
    with _errors_of_a_study(folder):
        copy = optuna.create_study(direction="maximize")
        copy.add_trials(study.get_trials(deepcopy=False))
        for key, value in study.user_attrs.items():
            copy.set_user_attr(key, value)
        for trial in copy.get_trials(deepcopy=False):
            msgspec.convert(trial.values, list[Percent] | None)
            msgspec.convert(trial.params, dict[str, bool | int | float | str])
        return copy


@contextmanager
def _errors_of_a_study(folder: Path) -> Iterator[None]:
    """Optuna does not check a journal. If the file is something else, any error can be raised inside."""
    try:
        yield
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise UserError(
            f"{folder / STUDY} is not a study of Optuna: {reason}. Remove the file to start a new study."
        ) from error
