"""Figures of every training step, read back from the device without making it wait.

A step's loss and count of right answers are computed on the device. Asking for their values at once (``.item()``) would
stop the host until the device is done and leave the device without work after it. Here they travel in small packets that
are read when they have arrived.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

Row = dict[str, float | int | bool]
"""One line of ``metrics.jsonl``."""

PACKET_STEPS = 32


@dataclass
class _Packet:
    rows: list[Row]
    images: list[int]
    figures: torch.Tensor
    arrived: torch.cuda.Event | None


class StepRecorder:
    """Collects the figures of training steps and gives them back as rows, in order."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        # the CPU computes as the host asks, so nothing waits and every step can be read at once
        self._size = 1 if device.type == "cpu" else PACKET_STEPS
        self._rows: list[Row] = []
        self._images: list[int] = []
        self._figures: list[torch.Tensor] = []
        self._sent: list[_Packet] = []
        self.diverged: Row | None = None
        """The first step that was not finite. Neither it nor what follows is given back."""

    def add(self, row: Row, images: int, loss: torch.Tensor, correct: torch.Tensor, finite: torch.Tensor) -> None:
        """A step of ``images`` images: ``loss``, ``correct`` and ``finite`` are 0-dimensional tensors on the device."""
        self._rows.append(row)
        self._images.append(images)
        self._figures += [loss.detach().float(), correct.float(), finite.float()]
        if len(self._rows) >= self._size:
            self._send()

    def ready(self) -> list[Row]:
        """The rows whose figures have arrived. Never waits."""
        rows: list[Row] = []
        while self._sent and (self._sent[0].arrived is None or self._sent[0].arrived.query()):
            rows += self._unpack(self._sent.pop(0))
        return rows

    def drain(self) -> list[Row]:
        """All remaining rows. Waits for the device."""
        self._send()
        rows: list[Row] = []
        for packet in self._sent:
            if packet.arrived is not None:
                packet.arrived.synchronize()
            rows += self._unpack(packet)
        self._sent.clear()
        return rows

    def _send(self) -> None:
        if not self._rows:
            return
        figures, arrived = torch.stack(self._figures), None
        if self._cuda:
            host = torch.empty(figures.shape, pin_memory=True)
            host.copy_(figures, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
            figures = host
        self._sent.append(_Packet(self._rows, self._images, figures, arrived))
        self._rows, self._images, self._figures = [], [], []

    def _unpack(self, packet: _Packet) -> list[Row]:
        figures = packet.figures.view(-1, 3).tolist()
        rows: list[Row] = []
        for row, images, (loss, correct, finite) in zip(packet.rows, packet.images, figures, strict=True):
            row["train/loss"] = loss
            row["train/accuracy"] = 100 * correct / images
            if self.diverged is None and not finite:
                self.diverged = row
            if self.diverged is None:
                rows.append(row)
        return rows
