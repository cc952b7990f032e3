"""The number of the format of a run folder: which files it has, and what they contain.

``config.yaml``, ``summary.json`` and the checkpoints have it under the key ``format``. Format 1 has no such key.

| format | differences |
|---|---|
| 1 | the key ``compile`` in the config; a checkpoint has only the length of ``metrics.jsonl`` |
| 2 | the key ``backend`` in the config; a checkpoint has the rows of ``metrics.jsonl`` |

Code that only reads ``metrics.jsonl`` and ``summary.json`` reads all formats, forever: tests/runner/formats/ has a
folder of each old format. A resume continues the current format only.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from mnist_lite.errors import UserError

FORMAT = 2


def check_resumable(path: Path, number: object) -> None:
    """Checks that the file ``path`` of a run folder has the current format. ``number`` is its key ``format``; None: it has none.

    Raises:
        UserError: it has another format.
    """
    found = 1 if number is None else number
    if found != FORMAT:
        raise UserError(
            f"resume: {path} has format {found}, and mnist-lite {version('mnist-lite')} resumes format {FORMAT} only; "
            "start the run again, or resume it with the version that wrote it"
        )
