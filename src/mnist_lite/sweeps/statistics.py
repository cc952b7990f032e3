"""Statistics of a sweep: means over seeds with intervals, and comparisons of groups of runs with the best group.

Accuracies are in percent. A *group* is a set of runs that differ in their seed only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

MIN_RUNS = 3
"""Groups with fewer runs have no interval and no comparison."""
LEVEL = 0.05
"""The significance level, and 1 minus the confidence level of the intervals."""


@dataclass(frozen=True)
class Estimate:
    """The mean of ``n`` accuracies."""

    n: int
    mean: float
    deviation: float | None
    """The sample standard deviation of the accuracies (divisor n - 1). None for one run."""
    low: float | None
    """The lower end of the 95 % interval of the mean over seeds. None for fewer than 3 runs."""
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float], resolution: float) -> Estimate:
        """The estimate from one or more accuracies. ``resolution`` is the accuracy that one image adds: 100 / images.

        The interval is Student's t on the logit scale. The delta method gives the standard error there:
        logit(m) +- t * s / (sqrt(n) * m * (1 - m)) for the mean m and the deviation s as fractions. The interval contains the
        mean and stays between 0 and 100. Survey statistics use the same interval: ``svyciprop(method="logit")`` in Lumley's
        package ``survey`` for R. The interval is about other seeds on the same test images. It says nothing about other images.
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
    """The comparison of a group with the best group, from the differences between runs of the same seed."""

    n: int
    """The number of seeds that both groups have."""
    difference: float
    """The mean difference in percentage points. Negative: the group is below the best group."""
    p: float
    """The two-sided p value of the paired t-test, adjusted for the number of comparisons by Holm's method."""

    @property
    def tied(self) -> bool:
        """True if the difference is not significant at the 5 % level."""
        return self.p >= LEVEL


def compare_with_best(groups: Sequence[Mapping[int, float]], resolution: float) -> dict[int, Comparison | None]:
    """Compares the best group with every other group by paired t-tests. Each group maps seeds to accuracies.

    The best group has the highest mean of the groups with at least 3 runs. The keys of the result are indices of groups. The
    best group has the value None. Every group with at least 3 seeds in common with it has a ``Comparison``. Without such a
    group, the result is empty.

    The p values are adjusted by Holm's method: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
    Journal of Statistics 6 (1979). The best group is chosen by the same accuracies. With many equal groups the chance of a
    false "worse" is therefore above 5 %: in simulations about 6 % with 2 groups, 9 % with 5 and 14 % with 10.
    """
    large = [i for i, group in enumerate(groups) if len(group) >= MIN_RUNS]
    if not large:
        return {}
    best = max(large, key=lambda i: fmean(groups[i].values()))
    tests = {i: test for i in large if i != best and (test := _paired_test(groups[i], groups[best], resolution))}
    if not tests:
        return {}
    result: dict[int, Comparison | None] = {best: None}
    p = 0.0
    for rank, i in enumerate(sorted(tests, key=lambda i: tests[i].p)):
        p = max(p, min(1.0, (len(tests) - rank) * tests[i].p))
        result[i] = replace(tests[i], p=p)
    return result


def rounding_deviation(resolution: float) -> float:
    """The standard deviation that rounding to multiples of ``resolution`` causes (Sheppard): resolution / sqrt(12).

    It is the lower limit of every spread here: a test set cannot show differences that are smaller than one image.
    """
    return resolution / math.sqrt(12)


def _paired_test(group: Mapping[int, float], best: Mapping[int, float], resolution: float) -> Comparison | None:
    """The t-test on the differences by seed, without adjustment. None: fewer than 3 seeds in common."""
    seeds = group.keys() & best.keys()
    if len(seeds) < MIN_RUNS:
        return None
    from scipy.special import stdtr

    differences = [group[seed] - best[seed] for seed in seeds]
    spread = max(stdev(differences), math.sqrt(2) * rounding_deviation(resolution))  # both accuracies are rounded
    mean = fmean(differences)
    t = abs(mean) / (spread / math.sqrt(len(seeds)))
    return Comparison(len(seeds), mean, 2 * float(stdtr(len(seeds) - 1, -t)))
