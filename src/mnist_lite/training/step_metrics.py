"""The metrics of every training step, read from the device without waiting for it.

Input: the loss and the number of correct images of each step, as tensors on the device. Output: rows for
``metrics.jsonl``, in order. On a GPU, a row comes some steps after its step.

A call of ``.item()`` after each step would make the host wait for the GPU, and the GPU would have no work meanwhile.
Therefore the values of 32 steps are copied to the host together, in the background, and are read when the copy is
complete.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

Row = dict[str, bool | int | float]
"""One line of ``metrics.jsonl``. Keys: see ``runner/metrics_file.py``."""

PACKET_STEPS = 32


@dataclass
class _Packet:
    rows: list[Row]
    images: list[int]
    values: torch.Tensor
    arrived: torch.cuda.Event | None
    """None: the values can be read at once."""


class StepRecorder:
    """Collects the metrics of training steps and returns them as rows."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._size = 1 if device.type == "cpu" else PACKET_STEPS  # the CPU has no copy to wait for
        self._rows: list[Row] = []
        self._images: list[int] = []
        self._values: list[torch.Tensor] = []
        self._packets: list[_Packet] = []
        self.diverged: Row | None = None
        """The first step with a number that is not finite. This row and all later rows are not returned."""

    def add(self, row: Row, images: int, loss: torch.Tensor, correct: torch.Tensor, finite: torch.Tensor) -> None:
        """Adds a step of ``images`` images. ``row`` gets ``train/loss`` and ``train/accuracy`` later.

        ``loss``, ``correct`` (a count) and ``finite`` are 0-dimensional tensors on the device. ``finite`` is false if
        the loss or a gradient of this step is not finite.
        """
        self._rows.append(row)
        self._images.append(images)
        self._values += [loss.detach().float(), correct.float(), finite.float()]
        if len(self._rows) >= self._size:
            self._send()

    def ready(self) -> list[Row]:
        """The rows whose values are on the host. Never waits."""
        rows: list[Row] = []
        while self._packets and (self._packets[0].arrived is None or self._packets[0].arrived.query()):
            rows += self._read(self._packets.pop(0))
        return rows

    def drain(self) -> list[Row]:
        """All remaining rows. Waits for the device."""
        if self._rows:
            self._send()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self.ready()

    def _send(self) -> None:
        values, arrived = torch.stack(self._values), None
        if self._device.type == "cuda":
            host = torch.empty(values.shape, pin_memory=True)
            host.copy_(values, non_blocking=True)
            values, arrived = host, torch.cuda.Event()
            arrived.record()
        self._packets.append(_Packet(self._rows, self._images, values, arrived))
        self._rows, self._images, self._values = [], [], []

    def _read(self, packet: _Packet) -> list[Row]:
        rows: list[Row] = []
        values = packet.values.view(-1, 3).tolist()
        for row, images, (loss, correct, finite) in zip(packet.rows, packet.images, values, strict=True):
            row["train/loss"] = loss
            row["train/accuracy"] = 100 * correct / images
            if self.diverged is None and not (finite and math.isfinite(row["lr"])):
                self.diverged = row
            if self.diverged is None:
                rows.append(row)
        return rows
