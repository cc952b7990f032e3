"""Event files for TensorBoard: scalars per step, texts and images. No command reads these files.

The writer is tensorboardX. It needs neither TensorFlow nor TensorBoard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_lite.errors import require_packages

if TYPE_CHECKING:
    import torch

NOT_METRICS = {"step", "epoch", "epoch_end"}
ZOOM = 4
"""TensorBoard shows a pixel as a pixel, and 28 pixels are small."""


def check_installed() -> None:
    """Checks that the writer is installed.

    Raises:
        UserError: it is not.
    """
    require_packages("tensorboard=true", ("tensorboardX",), "tensorboard")


class TensorBoard:
    """Writes event files into the folder of a run. Each start of the run writes a file of its own."""

    def __init__(self, folder: Path, step: int) -> None:
        """``step`` is the last step that is done. TensorBoard hides older events of later steps: a resume trains these again."""
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def text(self, title: str, text: str) -> None:
        """Adds a text with the layout that it has."""
        self._writer.add_text(title, "\n".join(f"    {line}" for line in text.splitlines()))  # Markdown: code

    def rows(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Adds the values of rows of ``metrics.jsonl``."""
        for row in rows:
            for key, value in row.items():
                if key not in NOT_METRICS:
                    self._writer.add_scalar(key, value, int(row["step"]))

    def image(self, title: str, image: torch.Tensor, step: int) -> None:
        """Adds an image ``(1, 28, 28)`` uint8. TensorBoard's names have no spaces, so ``_`` stands for all other signs."""
        larger = image.repeat_interleave(ZOOM, 1).repeat_interleave(ZOOM, 2)
        self._writer.add_image(re.sub(r"[^\w/.-]+", "_", title), larger.cpu().numpy(), step)

    def close(self) -> None:
        """Writes what is not written yet."""
        self._writer.close()
