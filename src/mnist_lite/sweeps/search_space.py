"""What a search may vary: from the words of Hydra's grammar to Optuna's distributions."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mnist_lite.errors import UserError

DIGITS = 4
"""Significant digits of a number that a search tries."""


def space_of(overrides: Sequence[Override]) -> tuple[dict[str, BaseDistribution], list[str]]:
    """The distributions by key, and the words that are the same in all trials; of one key the last counts.

    ``interval(0.001,0.1)`` is a range of numbers, with ``tag(log,interval(...))`` on a logarithmic scale, and with
    ``int(interval(2,9))`` of whole numbers; ``range(8,20,4)`` is 8, 12, 16; ``a,b,c`` and ``choice(...)`` are what they say.

    Raises:
        UserError: nothing is to be searched, or the seed is.
    """
    last = {override.get_key_element(): override for override in overrides}
    varied = {key: _distribution(override) for key, override in last.items() if override.is_sweep_override()}
    if not varied:
        raise UserError(
            "hydra/sweeper=optuna: nothing to search; give a key a range, such as optimizer.lr=tag(log,interval(0.001,0.1)), "
            "or take sweep=search_rates"
        )
    if "seed" in varied:
        raise UserError(
            "seed: a search does not choose among seeds, which would be choosing luck; run the best at many"
        )
    same = [f"{key}={override.get_value_element_as_str()}" for key, override in last.items() if key not in varied]
    return varied, same


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


def lowest(kind: BaseDistribution) -> object:
    """A value that a trial may draw: the lowest, or the first choice."""
    if isinstance(kind, CategoricalDistribution):
        return kind.choices[0]
    assert isinstance(kind, FloatDistribution | IntDistribution)
    return kind.low


def word(key: str, value: object) -> str:
    """The override for a value that was drawn."""
    return f"{key}={float(f'{value:.{DIGITS}g}') if isinstance(value, float) else value}"
