"""The status of a job of a sweep, from the files in its folder: done, failed, interrupted or missing.

``is_skipped`` says whether the next start of the sweep skips the job. Importing this module does not import torch.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mnist_lite import files
from mnist_lite.errors import MachineError
from mnist_lite.runner.summary import read_summary

ERROR = "error.txt"
"""The file with the reason why a job failed by itself. The next start of the sweep skips the job."""
FAULT = "fault.txt"
"""The file with the reason why the machine failed the job. The next start of the sweep runs the job again."""
MAX_BYTES = files.MB
WILL_RETRY = "the same command tries this job again"
DONE, FAILED, INTERRUPTED, MISSING = "done", "failed", "interrupted", "missing"
"""The states of a job. An interrupted job continues from its checkpoint. A missing job has not started."""


def status(folder: Path) -> str:
    """The state of the job in ``folder``: ``done``, ``failed``, ``interrupted`` or ``missing``."""
    if read_summary(folder) is not None:
        return DONE
    with suppress(OSError):  # the folder cannot be read
        if (folder / ERROR).is_file() or (folder / FAULT).is_file():
            return FAILED
        return INTERRUPTED if (folder / "config.yaml").is_file() else MISSING
    return MISSING


def is_skipped(folder: Path, retry_failed: bool) -> bool:
    """True if the next start of the sweep skips the job: it is done, or it failed by itself and is not retried."""
    state = status(folder)
    return state == DONE or (state == FAILED and not retry_failed and (folder / ERROR).is_file())


def mark_failed(folder: Path, error: str, of_machine: bool, details: str = "") -> bool:
    """Writes into the folder of a job that it failed: the line ``error``, then ``details``. False: writing failed, too.

    ``of_machine``: the machine failed the job, so the next start of the sweep tries the job again.
    """
    name, text = (FAULT, f"{error}; {WILL_RETRY}\n") if of_machine else (ERROR, f"{error}\n")
    with suppress(OSError, MachineError):
        folder.mkdir(parents=True, exist_ok=True)
        files.write(folder / name, (text + details).encode())
        return True
    return False


def clear_failure(folder: Path) -> None:
    """Removes what ``mark_failed`` wrote.

    Raises:
        MachineError: a file cannot be removed.
    """
    for name in (ERROR, FAULT):
        with files.machine_errors(folder / name), suppress(FileNotFoundError, NotADirectoryError):
            files.check_folder(folder)
            (folder / name).unlink()


def failure(folder: Path) -> str | None:
    """The reason why the job failed, in one line. None: the job did not fail."""
    for name in (ERROR, FAULT):
        try:
            return next(iter(files.read(folder / name, MAX_BYTES).decode("utf-8", "replace").splitlines()), "")
        except files.BadFileError as error:
            return f"{name}: {error.strerror}"
        except OSError:
            continue
    return None


def has_checkpoint(folder: Path) -> bool:
    """True if the run in ``folder`` has saved its state at least once."""
    return (folder / "last.pt").is_file()


def score(folder: Path) -> float | None:
    """The final accuracy in percent that a search maximizes. None: the job is not done.

    It is measured on the held-out training images, or on the test images if the job has no held-out images.
    """
    summary = read_summary(folder)
    return None if summary is None else (summary.accuracy.holdout or summary.accuracy.test).final
