"""The verdict on a budget: what a network was asked to keep to, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mnist_lite.schema import Budget


@dataclass(frozen=True)
class Check:
    """One demand of a budget."""

    demand: str
    found: str
    met: bool

    def __str__(self) -> str:
        """``[ok] < 8,000 parameters: 7,838``."""
        return f"[{'ok' if self.met else 'MISSED'}] {self.demand}: {self.found}"


@dataclass(frozen=True)
class Verdict:
    """All demands that could be judged; met when each of them is."""

    checks: tuple[Check, ...]

    @property
    def met(self) -> bool:
        """Whether every demand is met. True of an empty budget."""
        return all(check.met for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """For ``summary.json``."""
        return {"met": self.met, "checks": [asdict(check) for check in self.checks]}


def before_training(budget: Budget, parameters: int, epochs: int, fully_connected: bool) -> Verdict:
    """What can be judged from the network and the config alone."""
    checks = []
    if budget.parameters is not None:
        checks.append(Check(f"< {budget.parameters:,} parameters", f"{parameters:,}", parameters < budget.parameters))
    if budget.epochs is not None:
        checks.append(Check(f"<= {budget.epochs} epochs", f"{epochs}", epochs <= budget.epochs))
    if budget.fully_connected is False:
        checks.append(
            Check("no fully connected layer", "one or more" if fully_connected else "none", not fully_connected)
        )
    return Verdict(tuple(checks))


def after_training(
    budget: Budget, parameters: int, epochs: int, fully_connected: bool, test_accuracies: Sequence[float]
) -> Verdict:
    """The whole verdict. ``epochs`` is what was in fact trained, ``test_accuracies`` one figure in percent per epoch."""
    checks = list(before_training(budget, parameters, epochs, fully_connected).checks)
    if budget.accuracy is not None:
        last = test_accuracies[-budget.last_epochs :]
        demand = f">= {budget.accuracy:g} % test accuracy in the last epoch"
        if budget.last_epochs > 1:
            demand = f">= {budget.accuracy:g} % test accuracy in each of the last {budget.last_epochs} epochs"
        found = ", ".join(f"{accuracy:.2f}" for accuracy in last)
        checks.append(Check(demand, found or "none", len(last) == budget.last_epochs and min(last) >= budget.accuracy))
    return Verdict(tuple(checks))
