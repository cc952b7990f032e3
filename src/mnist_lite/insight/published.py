"""The authors' own figures for the published networks, as in the comments of ``conf/experiment/``."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A published network. Each figure is from one run, on MNIST's 10,000 test images."""

    name: str
    parameters: int
    accuracy: float
    """Test accuracy in percent: of the best epoch, or of an epoch that the authors do not name."""


PUBLISHED = (
    Published("genesis", 18_578, 99.26),
    Published("salvation", 8_718, 99.48),
    Published("step1", 13_312, 98.70),
    Published("step2", 8_412, 97.53),
    Published("step3", 7_216, 97.53),
    Published("step4", 7_400, 98.70),
    Published("step5", 12_396, 99.41),
    Published("era1", 1_618_570, 99.31),
    Published("era2", 400_612, 99.57),
    Published("era3", 7_838, 99.22),
    Published("era4", 7_838, 99.45),
    Published("eva5", 10_066, 99.41),
)
"""All published networks with a published accuracy. ``base`` has none."""
