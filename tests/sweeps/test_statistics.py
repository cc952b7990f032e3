"""Intervals and comparisons of groups, against scipy, by hand, and by simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mnist_lite.sweeps.statistics import Estimate, compare_with_best

IMAGE = 0.01
"""One image of 10,000, in percent."""
Draw = Callable[[np.random.Generator, int], Any]


def normal(rng: np.random.Generator, n: int) -> Any:
    return rng.normal(99.5, 0.08, n).round(2)


def binomial(rng: np.random.Generator, n: int) -> Any:
    """Networks whose true accuracies differ, measured on 10,000 images."""
    return rng.binomial(10_000, rng.beta(0.995 * 20_000, 0.005 * 20_000, n)) / 100


def skewed(rng: np.random.Generator, n: int) -> Any:
    return (100 - rng.gamma(25, 0.5 / 25, n)).round(2)


@pytest.mark.parametrize("draw", [normal, binomial, skewed])
@pytest.mark.parametrize("n", [3, 5, 20])
def test_the_interval_covers_the_true_mean_in_95_percent_of_sweeps(draw: Draw, n: int):
    rng = np.random.default_rng(n)
    estimates = [Estimate.of(draw(rng, n).tolist(), IMAGE) for _ in range(4000)]
    covered = np.mean([e.low is not None and e.high is not None and e.low <= 99.5 <= e.high for e in estimates])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(
    "values", [[10.0, 35.6, 61.0], [99.9, 100.0, 100.0], [0.0, 0.1, 40.0], [9.8, 99.5, 99.4, 99.6], [99.0, 99.0, 99.0]]
)
def test_the_interval_stays_between_0_and_100_and_holds_the_mean(values: list[float]):
    e = Estimate.of(values, IMAGE)
    assert e.low is not None and e.high is not None
    assert 0 <= e.low < e.mean < e.high <= 100


def test_close_values_give_nearly_students_interval():
    """The logit is close to a straight line over a short range."""
    values = [97.1, 97.2, 97.3, 97.15]
    e = Estimate.of(values, IMAGE)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert [e.low, e.high] == pytest.approx([low, high], abs=0.005)
    assert e.n == 4 and [e.mean, e.deviation] == pytest.approx([np.mean(values), stats.tstd(values)])


def test_fewer_than_three_runs_have_no_interval():
    assert Estimate.of([99.0], IMAGE) == Estimate(1, 99.0, None, None, None)
    e = Estimate.of([72.0, 97.0], IMAGE)
    assert (e.n, e.mean, e.low, e.high) == (2, 84.5, None, None) and e.deviation is not None
    assert compare_with_best([{0: 99.0, 1: 99.1}, {0: 98.0}], IMAGE) == {}


def test_the_comparison_is_the_paired_t_test_adjusted_by_holm():
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 0.3, 6)  # what a seed does to all groups alike
    groups = [99.0 + luck + rng.normal(0, 0.02, 6) - shift for shift in (0.0, 0.03, 0.05)]
    found = compare_with_best([dict(enumerate(group.tolist())) for group in groups], IMAGE)
    raw = {i: stats.ttest_rel(groups[i], groups[0]).pvalue for i in (1, 2)}
    small, large = sorted(raw, key=lambda i: raw[i])
    expected = {small: 2 * raw[small], large: max(2 * raw[small], raw[large])}
    assert found[0] is None
    for i in (1, 2):
        test = found[i]
        assert test is not None
        assert test.n == 6 and test.p == pytest.approx(min(1.0, expected[i]))
        assert test.difference == pytest.approx(groups[i].mean() - groups[0].mean())


def test_only_seeds_that_both_groups_have_are_compared():
    best = {0: 99.5, 1: 99.6, 2: 99.4, 3: 99.5}
    few, enough = {0: 99.0, 1: 99.1, 9: 99.2}, {1: 99.0, 2: 98.8, 3: 99.0, 9: 10.0}
    found = compare_with_best([best, few, enough], IMAGE)
    assert set(found) == {0, 2} and found[0] is None
    assert found[2] is not None and found[2].n == 3 and found[2].difference == pytest.approx(-0.5667, abs=1e-3)


def test_equal_runs_are_a_tie_and_one_image_of_a_small_test_set_is_no_proof():
    same = {0: 98.0, 1: 98.0, 2: 98.0}
    (tie,) = [each for each in compare_with_best([same, dict(same)], 2.0).values() if each]
    assert tie.tied and tie.p == 1
    # 49 of 50 images against 48 of 50, three times: the spread is below what 50 images can show
    (image,) = [each for each in compare_with_best([same, {0: 96.0, 1: 96.0, 2: 96.0}], 2.0).values() if each]
    assert image.p > 0.04
    (certain,) = [each for each in compare_with_best([same, {0: 90.0, 1: 90.0, 2: 90.0}], IMAGE).values() if each]
    assert not certain.tied


def test_two_equal_groups_are_told_apart_in_5_percent_of_sweeps():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(2000):
        pair = [dict(enumerate(normal(rng, 5).tolist())) for _ in range(2)]
        wrong += any(test is not None and not test.tied for test in compare_with_best(pair, IMAGE).values())
    assert 0.035 <= wrong / 2000 <= 0.07
