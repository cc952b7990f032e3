"""The search space of a search: overrides in Hydra's grammar become distributions of Optuna."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mnist_lite.errors import UserError

Space = dict[str, BaseDistribution]
"""The distribution of each varied key."""
DIGITS = 4
"""Significant digits of the numbers that a search tries."""


def parse_space(overrides: Sequence[Override]) -> tuple[Space, list[str]]:
    """The distribution of each varied key, and the overrides that all trials share. If a key is given twice, the last counts.

    ``interval(0.001,0.1)`` is a range of numbers. ``tag(log,interval(...))`` has a logarithmic scale, and
    ``int(interval(2,9))`` has whole numbers. ``range(8,20,4)`` is 8, 12 or 16. ``a,b,c`` and ``choice(a,b,c)`` are choices.

    Raises:
        UserError: no key is varied, the seed is varied, or a range is invalid.
    """
    last = {override.get_key_element(): override for override in overrides}
    space = {key: _distribution(override) for key, override in last.items() if override.is_sweep_override()}
    if not space:
        raise UserError(
            "hydra/sweeper=optuna: nothing to search; give a key a range, such as optimizer.lr=tag(log,interval(0.001,0.1)), "
            "or take sweep=search_rates"
        )
    if "seed" in space:
        raise UserError(
            "seed: a search must not select a seed, because its result would be chance; run the best trial at many seeds"
        )
    shared = [f"{key}={override.get_value_element_as_str()}" for key, override in last.items() if key not in space]
    return space, shared


def _distribution(override: Override) -> BaseDistribution:
    value, key = override.value(), override.get_key_element()
    try:
        if isinstance(value, IntervalSweep):
            assert value.start is not None and value.end is not None
            log = "log" in value.tags
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=log)
            return FloatDistribution(float(value.start), float(value.end), log=log)
        if isinstance(value, RangeSweep) and not value.shuffle:
            numbers = list(value.range())
            if all(isinstance(number, int) for number in numbers):
                return IntDistribution(int(numbers[0]), int(numbers[-1]), step=int(value.step))
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except (ValueError, IndexError) as error:
        raise UserError(f"{key}: {override.get_value_string()} is not a range: {error}") from error


def lowest(distribution: BaseDistribution) -> object:
    """A value that a trial may have: the lowest number, or the first choice."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low


def value_override(key: str, value: object) -> str:
    """The override for a value that Optuna proposed: ``optimizer.lr=0.01234``."""
    return f"{key}={float(f'{value:.{DIGITS}g}') if isinstance(value, float) else value}"
