"""Small grey images in a terminal, with block characters. No colours are needed, so a file or a pipe shows them, too."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
INK = 96
"""From this value on a pixel is shown as ink. Lower than the middle of 0..255, so that thin lines stay whole."""


def as_blocks(image: Sequence[Sequence[int]]) -> list[str]:
    """The lines of an image with an even number of rows and values 0..255. A character shows two pixels, one above the other."""
    return [
        "".join(BLOCKS[upper >= INK, lower >= INK] for upper, lower in zip(*rows, strict=True)).rstrip()
        for rows in zip(image[::2], image[1::2], strict=True)
    ]
