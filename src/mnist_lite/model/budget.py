"""The check of a budget: compares the requirements of the config with a network and with the results of its run.

It neither trains nor prints. ``before_training`` judges what is known without training, ``after_training`` judges everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mnist_lite.config.schema import Budget, Config
from mnist_lite.errors import UserError

MNIST_TEST_IMAGES = 10_000


@dataclass(frozen=True)
class Check:
    """One requirement of a budget."""

    key: str
    """The key in the config, such as ``parameters``."""
    requirement: str
    value: str
    met: bool | None
    """None: not judged."""
    note: str = ""
    """Why the requirement is not judged, or who chose to miss it."""

    def __str__(self) -> str:
        """``[ok] < 8,000 parameters: 7,838``."""
        label = {True: "ok", False: "MISSED", None: "not judged"}[self.met]
        return f"[{label}] {self.requirement}: {self.value}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Verdict:
    """All requirements of a budget."""

    checks: tuple[Check, ...]

    @property
    def met(self) -> bool | None:
        """False if a requirement is missed. None if there is no requirement or one is not judged. True otherwise."""
        results = [check.met for check in self.checks]
        if False in results:
            return False
        return None if None in results or not results else True

    @property
    def passes(self) -> bool:
        """True if ``budget.enforce`` accepts the run: every requirement is judged and met."""
        return all(check.met for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """The result for ``summary.json``."""
        return {"met": self.met, "checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True)
class RunResults:
    """The results of a run that its budget is compared with."""

    parameters: int
    fully_connected: bool
    epochs: int
    test_accuracies: Sequence[float | None]
    """In percent, one for each epoch. None: the row of that epoch is lost."""
    data: str
    """The data set: ``mnist`` or ``digits``."""
    test_images: int


def before_training(budget: Budget, parameters: int, fully_connected: bool, epochs: int) -> Verdict:
    """Checks what is known before training. ``epochs`` is the number in the config."""
    checks = []
    if budget.parameters is not None:
        met = parameters < budget.parameters
        note = "the published network has this many" if not met and parameters == budget.published_parameters else ""
        checks.append(Check("parameters", f"< {budget.parameters:,} parameters", f"{parameters:,}", met, note))
    if budget.epochs is not None:
        met = epochs <= budget.epochs
        note = "the published recipe has this many" if not met and epochs == budget.published_epochs else ""
        checks.append(Check("epochs", f"<= {budget.epochs} epoch{'s' * (budget.epochs != 1)}", f"{epochs}", met, note))
    if budget.fully_connected is False:
        value = "one or more" if fully_connected else "none"
        checks.append(Check("fully_connected", "no fully connected layer", value, not fully_connected))
    return Verdict(tuple(checks))


def after_training(budget: Budget, results: RunResults) -> Verdict:
    """Checks all requirements.

    The accuracy is judged on all of MNIST's 10,000 test images. With ``budget.accuracy_on: any`` it is judged on the test images
    of the run.
    """
    known = before_training(budget, results.parameters, results.fully_connected, results.epochs)
    if budget.accuracy is None:
        return known
    requirement = f">= {budget.accuracy:g} % test accuracy in the last epoch"
    if budget.last_epochs > 1:
        requirement = f">= {budget.accuracy:g} % test accuracy in each of the last {budget.last_epochs} epochs"
    last = results.test_accuracies[-budget.last_epochs :]
    value = ", ".join("lost" if accuracy is None else f"{accuracy:.2f}" for accuracy in last) or "none"
    reached = [accuracy is not None and accuracy >= budget.accuracy for accuracy in last]
    met: bool | None = len(last) == budget.last_epochs and all(reached)
    note = ""
    if not is_full_mnist(results.data, results.test_images):
        note = f"on {describe_test_set(results.data, results.test_images)}"
        if budget.accuracy_on != "any":
            met, note = None, f"{note}; a budget is judged on {describe_test_set('mnist', MNIST_TEST_IMAGES)}"
    return Verdict((*known.checks, Check("accuracy", requirement, value, met, note)))


def refuse_if_impossible(config: Config, verdict: Verdict) -> None:
    """Refuses a run that cannot pass, before it costs time. ``verdict`` comes from ``before_training``.

    Raises:
        UserError: ``budget.enforce`` is set and a requirement is missed already.
    """
    missed = [check for check in verdict.checks if check.met is False]
    if config.stop_at_accuracy is not None:  # the run may end after fewer epochs
        missed = [check for check in missed if check.key != "epochs"]
    if config.budget.enforce and missed:
        raise UserError(
            f"budget.enforce: this run cannot pass: {'; '.join(map(str, missed))}. "
            "Change the network or the config, or set budget.enforce=false"
        )


def is_full_mnist(data: str, test_images: int) -> bool:
    """True if ``test_images`` images of ``data`` are all of MNIST's test images."""
    return data == "mnist" and test_images == MNIST_TEST_IMAGES


def describe_test_set(data: str, images: int) -> str:
    """The test images in words: how many, and of which data set."""
    if is_full_mnist(data, images):
        return f"MNIST's {images:,} test images"
    if data == "mnist":
        return f"{images:,} of MNIST's {MNIST_TEST_IMAGES:,} test images"
    return f"{images:,} test images of {data} (NOT MNIST)"
