"""Means over seeds, how sure they are, and which groups of runs are worse than the best one.

Accuracies are in percent. A *group* is a set of runs that differ in their seed only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

MIN_RUNS = 3
"""Fewer runs give neither an interval nor a comparison."""
LEVEL = 0.05


@dataclass(frozen=True)
class Estimate:
    """The mean of ``n`` accuracies."""

    n: int
    mean: float
    deviation: float | None
    """The sample standard deviation of the accuracies (divisor n - 1). None for one run."""
    low: float | None
    """Lower end of the 95 % interval of the mean over seeds. None below 3 runs."""
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float], resolution: float) -> Estimate:
        """The estimate from at least one value in percent. ``resolution`` is that of one image: 100 / images.

        The interval is Student's t on the logit scale, with the standard error of the mean carried over by the delta method:
        logit(m) +- t * s / (sqrt(n) * m * (1 - m)) for the mean m and the deviation s as fractions. It contains the mean
        and stays between 0 and 100. It is the logit interval of survey statistics: ``svyciprop(method="logit")`` in Lumley's
        package ``survey`` for R. It is about other seeds on the same test images, not about other images.
        """
        n, mean = len(values), fmean(values)
        if n == 1:
            return cls(1, mean, None, None, None)
        deviation = stdev(values)
        if n < MIN_RUNS or not 0 < mean < 100:
            return cls(n, mean, deviation, None, None)
        from scipy.special import expit, logit, stdtrit  # scipy.stats has them too, and takes half a second to import

        m = mean / 100
        error = max(deviation, rounding_deviation(resolution)) / 100 / math.sqrt(n)
        half = float(stdtrit(n - 1, 1 - LEVEL / 2)) * error / (m * (1 - m))
        return cls(n, mean, deviation, 100 * float(expit(logit(m) - half)), 100 * float(expit(logit(m) + half)))


@dataclass(frozen=True)
class Comparison:
    """A group against the best group, by the differences between runs of the same seed."""

    n: int
    """Seeds that both groups have."""
    difference: float
    """Mean difference in percentage points. Negative: below the best group."""
    p: float
    """Two-sided p value of the paired t-test, adjusted for the number of comparisons by Holm's method."""

    @property
    def tied(self) -> bool:
        """Whether the difference could be chance, at the 5 % level."""
        return self.p >= LEVEL


def best_group(means: Sequence[Mapping[int, float]]) -> int | None:
    """The index of the group with the highest mean, among groups of at least 3 runs. None if there is no such group.

    Each group is a mapping from seed to accuracy.
    """
    large = [i for i, group in enumerate(means) if len(group) >= MIN_RUNS]
    return max(large, key=lambda i: fmean(means[i].values()), default=None)


def compare_with_best(found: Sequence[Mapping[int, float]], resolution: float) -> list[Comparison | None]:
    """Every group against the best group, by paired t-tests. None: the best group itself, or fewer than 3 seeds in common.

    ``found`` maps seeds to accuracies, for each group. The p values are adjusted by Holm's method: Holm, "A Simple
    Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979). The best group is chosen by
    the same figures. With many equal groups the chance of a false "worse" is therefore above 5 %: in simulations about 6 %
    with 2 groups, 9 % with 5 and 14 % with 10.
    """
    top = best_group(found)
    tests = (
        {i: _paired(found[i], found[top], resolution) for i in range(len(found)) if i != top} if top is not None else {}
    )
    known = {i: test for i, test in tests.items() if test is not None}
    adjusted, running = dict[int, float](), 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: known[i].p)):
        running = max(running, min(1.0, (len(known) - rank) * known[i].p))
        adjusted[i] = running
    return [Comparison(known[i].n, known[i].difference, adjusted[i]) if i in known else None for i in range(len(found))]


def rounding_deviation(resolution: float) -> float:
    """The standard deviation that rounding to multiples of ``resolution`` causes (Sheppard): resolution / sqrt(12).

    Runs that agree to the last image have a spread that the test set cannot show. It counts as no smaller than this.
    """
    return resolution / math.sqrt(12)


def _paired(group: Mapping[int, float], best: Mapping[int, float], resolution: float) -> Comparison | None:
    seeds = group.keys() & best.keys()
    if len(seeds) < MIN_RUNS:
        return None
    from scipy.special import stdtr

    differences = [group[seed] - best[seed] for seed in seeds]
    spread = max(stdev(differences), math.sqrt(2) * rounding_deviation(resolution))  # two rounded figures each
    mean = fmean(differences)
    t = abs(mean) / (spread / math.sqrt(len(seeds)))
    return Comparison(len(seeds), mean, 2 * float(stdtr(len(seeds) - 1, -t)))
