"""The verdict on a budget: what the config requires of a network, and what the run reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mnist_lite.config.schema import Budget, Config
from mnist_lite.errors import UserError

MNIST_TEST_IMAGES = 10_000
PUBLISHED = "the published {what}'s own choice"


@dataclass(frozen=True)
class Check:
    """One requirement of a budget."""

    requirement: str
    found: str
    met: bool | None
    """None: it cannot be judged."""
    note: str = ""
    """Why it cannot be judged, or who chose to miss it."""

    def __str__(self) -> str:
        """``[ok] < 8,000 parameters: 7,838``."""
        label = {True: "ok", False: "MISSED", None: "not judged"}[self.met]
        return f"[{label}] {self.requirement}: {self.found}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Verdict:
    """All requirements of a budget."""

    checks: tuple[Check, ...]

    @property
    def met(self) -> bool | None:
        """False if a requirement is missed. Else None if there is none or if one cannot be judged. Else True."""
        found = [check.met for check in self.checks]
        if False in found:
            return False
        return None if None in found or not found else True

    @property
    def passes(self) -> bool:
        """Whether ``budget.enforce`` lets the run pass: every requirement is judged and met."""
        return all(check.met for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """The verdict for ``summary.json``."""
        return {"met": self.met, "checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True)
class Reached:
    """What a run reached: all that a budget is judged by."""

    parameters: int
    fully_connected: bool
    epochs: int
    test_accuracies: Sequence[float | None]
    """In percent, one for each epoch. None: the row of that epoch was lost."""
    data: str
    """The data set: ``mnist`` or ``digits``."""
    test_images: int


def before_training(budget: Budget, parameters: int, fully_connected: bool, epochs: int) -> Verdict:
    """The verdict on what is known before training. ``epochs`` is what the config asks for."""
    checks = []
    if budget.parameters is not None:
        met = parameters < budget.parameters
        chosen = not met and parameters == budget.published_parameters
        note = PUBLISHED.format(what="network") if chosen else ""
        checks.append(Check(f"< {budget.parameters:,} parameters", f"{parameters:,}", met, note))
    if budget.epochs is not None:
        met = epochs <= budget.epochs
        chosen = not met and epochs == budget.published_epochs
        note = PUBLISHED.format(what="recipe") if chosen else ""
        checks.append(Check(f"<= {budget.epochs} epochs", f"{epochs}", met, note))
    if budget.fully_connected is False:
        found = "one or more" if fully_connected else "none"
        checks.append(Check("no fully connected layer", found, not fully_connected))
    return Verdict(tuple(checks))


def after_training(budget: Budget, reached: Reached) -> Verdict:
    """The whole verdict on what a run ``reached``.

    The accuracy is judged on all of MNIST's 10,000 test images. With ``budget.accuracy_on: any`` it is judged on whatever
    test images the run had.
    """
    known = before_training(budget, reached.parameters, reached.fully_connected, reached.epochs)
    if budget.accuracy is None:
        return known
    requirement = f">= {budget.accuracy:g} % test accuracy in the last epoch"
    if budget.last_epochs > 1:
        requirement = f">= {budget.accuracy:g} % test accuracy in each of the last {budget.last_epochs} epochs"
    last = reached.test_accuracies[-budget.last_epochs :]
    found = ", ".join("lost" if accuracy is None else f"{accuracy:.2f}" for accuracy in last) or "none"
    reaches = [accuracy is not None and accuracy >= budget.accuracy for accuracy in last]
    met: bool | None = len(last) == budget.last_epochs and all(reaches)
    note = ""
    if not is_full_mnist(reached.data, reached.test_images):
        note = f"on {describe_test_set(reached.data, reached.test_images)}"
        if budget.accuracy_on != "any":
            met, note = None, f"{note}; a budget is judged on {describe_test_set('mnist', MNIST_TEST_IMAGES)}"
    return Verdict((*known.checks, Check(requirement, found, met, note)))


def refuse_if_impossible(config: Config, verdict: Verdict) -> None:
    """Refuses a run that cannot pass, before it costs any time. ``verdict`` is that of ``before_training``.

    Raises:
        UserError: ``budget.enforce`` is set and a requirement is missed already.
    """
    missed = [check for check in verdict.checks if check.met is False]
    if config.stop_at_accuracy is not None:  # the run may end after fewer epochs
        missed = [check for check in missed if not check.requirement.endswith("epochs")]
    if config.budget.enforce and missed:
        raise UserError(
            f"budget.enforce: this run cannot pass: {'; '.join(map(str, missed))}. "
            "Change the network or the config, or set budget.enforce=false"
        )


def is_full_mnist(data: str, test_images: int) -> bool:
    """Whether an accuracy was measured on all of MNIST's test images."""
    return data == "mnist" and test_images == MNIST_TEST_IMAGES


def describe_test_set(data: str, images: int) -> str:
    """The test images in words: how many, and of which data set."""
    if is_full_mnist(data, images):
        return f"MNIST's {images:,} test images"
    if data == "mnist":
        return f"{images:,} of MNIST's {MNIST_TEST_IMAGES:,} test images"
    return f"{images:,} test images of {data} (NOT MNIST)"
