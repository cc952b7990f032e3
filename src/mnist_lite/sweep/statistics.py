"""Means over seeds, how sure they are, and which of several groups can be called the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Estimate:
    """Of a mean from ``n`` values; with one value there is no deviation and no interval."""

    n: int
    mean: float
    deviation: float | None
    """Of the values: the sample's, with n - 1."""
    low: float | None
    """Of the 95 % interval of the mean, by Student's t."""
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """From at least one value."""
        n, mean = len(values), fmean(values)
        if n == 1:
            return cls(1, mean, None, None, None)
        from scipy.special import stdtrit  # Student's t; scipy.stats has it too, and takes half a second to import

        deviation = stdev(values)
        half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
        return cls(n, mean, deviation, mean - half, mean + half)


def best(estimates: Sequence[Estimate]) -> list[int]:
    """The places of the groups that may be the best: the one of highest mean, and all whose interval reaches into its own.

    More than one: a tie, as far as these values tell. A group of one value has no interval and ties with all, since nothing is
    known of its spread; if no group has one, nobody is best and the list is empty.
    """
    known = [e for e in estimates if e.low is not None]
    if not known:
        return []
    top = max(known, key=lambda e: e.mean)
    assert top.low is not None
    return [i for i, e in enumerate(estimates) if e is top or e.high is None or e.high >= top.low]
