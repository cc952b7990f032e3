"""The verdict on a budget, against the published tables and by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mnist_lite.cli.model_summary import print_model
from mnist_lite.config.schema import Budget, SummaryConfig
from mnist_lite.model.budget import RunResults, after_training, before_training, describe_test_set
from mnist_lite.model.build import build
from tests.commands import command_config
from tests.conftest import Compose


def budget(**changes: Any) -> Budget:
    """A budget with only these requirements."""
    nothing = dict.fromkeys(
        ("parameters", "epochs", "accuracy", "fully_connected", "published_parameters", "published_epochs")
    )
    return Budget(**{**nothing, "last_epochs": 1, "accuracy_on": "mnist", "enforce": False, **changes})


def results(
    parameters: int = 1, epochs: int = 1, linear: bool = False, accuracies: list[float] | None = None, **other: Any
):
    measured = {"data": "mnist", "test_images": 10_000, **other}
    return RunResults(parameters, linear, epochs, accuracies or [10.0], **measured)


@pytest.mark.parametrize(
    ("requirements", "parameters", "epochs", "linear", "accuracies", "met"),
    [
        ({}, 10**9, 99, True, [10.0], None),
        ({"fully_connected": True}, 1, 1, False, [10.0], None),
        ({"parameters": 8000}, 7999, 1, False, [10.0], True),
        ({"parameters": 8000}, 8000, 1, False, [10.0], False),
        ({"epochs": 15}, 1, 15, False, [10.0], True),
        ({"epochs": 15}, 1, 16, False, [10.0], False),
        ({"fully_connected": False}, 1, 1, True, [10.0], False),
        ({"fully_connected": False}, 1, 1, False, [10.0], True),
        ({"accuracy": 99.4}, 1, 2, False, [99.5, 99.39], False),
        ({"accuracy": 99.4}, 1, 2, False, [99.3, 99.4], True),
        ({"accuracy": 99.4, "last_epochs": 2}, 1, 3, False, [99.3, 99.4, 99.5], True),
        ({"accuracy": 99.4, "last_epochs": 3}, 1, 3, False, [99.3, 99.4, 99.5], False),
        ({"accuracy": 99.4, "last_epochs": 4}, 1, 3, False, [99.5, 99.5, 99.5], False),
    ],
)
def test_verdicts(requirements, parameters, epochs, linear, accuracies, met):
    verdict = after_training(budget(**requirements), results(parameters, epochs, linear, accuracies))
    assert verdict.met is met
    assert verdict.passes is (met is not False)


@pytest.mark.parametrize(("data", "images"), [("mnist", 50), ("mnist", 9_999), ("digits", 360), ("digits", 10_000)])
def test_an_accuracy_is_judged_on_all_of_mnists_test_images_only(data: str, images: int):
    measured = results(accuracies=[99.9], data=data, test_images=images)
    verdict = after_training(budget(accuracy=90), measured)
    assert (verdict.met, verdict.passes) == (None, False)
    (check,) = verdict.checks
    assert str(check).startswith("[not judged] >= 90 % test accuracy in the last epoch: 99.90 (on ")
    assert describe_test_set(data, images) in str(check)
    assert after_training(budget(accuracy=90, accuracy_on="any"), measured).met is True
    assert after_training(budget(accuracy=90, parameters=1), measured).met is False


def test_the_description_of_the_test_set():
    assert describe_test_set("mnist", 10_000) == "MNIST's 10,000 test images"
    assert describe_test_set("mnist", 50) == "50 of MNIST's 10,000 test images"
    assert describe_test_set("digits", 360) == "360 test images of digits (NOT MNIST)"


MISSES = {
    "step1": ["parameters"],
    "step5": ["parameters"],
    "era1": ["parameters", "epochs"],
    "era2": ["parameters", "epochs"],
    "era3": ["epochs"],
    "era4": ["epochs"],
}
"""The requirements of their authors' own budget that the published recipes miss."""
ALL = (
    "base",
    "genesis",
    "salvation",
    "step1",
    "step2",
    "step3",
    "step4",
    "step5",
    "era1",
    "era2",
    "era3",
    "era4",
    "eva5",
)


@pytest.mark.parametrize("name", ALL)
def test_a_published_recipe_that_misses_its_own_budget_says_whose_choice_that_is(name: str, composed: Compose):
    config = composed(f"experiment={name}")
    network = build(config.model)
    checks = before_training(config.budget, network.parameters, network.fully_connected, config.epochs).checks
    missed = [check for check in checks if not check.met]
    assert [check.requirement.split()[-1] for check in missed] == MISSES.get(name, [])
    assert all("the published " in str(check) and " has this many" in str(check) for check in missed)


def test_a_users_own_miss_is_not_called_published(composed: Compose):
    config = composed("experiment=era4", "epochs=20", "model.width=20")
    network = build(config.model)
    checks = before_training(config.budget, network.parameters, network.fully_connected, config.epochs).checks
    assert [check.met for check in checks] == [False, False]
    assert not any("published" in str(check) for check in checks)


def test_models_bring_their_budget_and_recipes_override_it(composed: Compose):
    assert composed("model=salvation").budget.parameters == 10_000
    assert composed("model=eva5").budget.fully_connected is False
    assert composed("experiment=era4").budget.last_epochs == 8
    assert composed("model=salvation", "budget.parameters=5").budget.parameters == 5
    assert composed("experiment=smoke").budget.accuracy_on == "any"
    assert composed("model=base").budget == budget()


@pytest.mark.parametrize(
    ("overrides", "code", "line"),
    [
        (["model=step3"], 0, "[ok] < 10,000 parameters: 7,216"),
        (["model=step1"], 0, "[MISSED] < 10,000 parameters: 13,312 (the published network has this many)"),
        (["model=step1", "budget.enforce=true"], 1, "[MISSED] < 10,000 parameters: 13,312"),
        (["model=step3", "budget.enforce=true", "epochs=15"], 1, "[MISSED] <= 14 epochs: 15"),
        (["model=step3", "budget.enforce=true", "format=torchsummary"], 0, "[ok] <= 14 epochs: 14"),
    ],
)
def test_summary_says_whether_the_network_keeps_to_the_budget(overrides, code, line, capsys):
    assert print_model(command_config("summary", SummaryConfig, *overrides)) == code
    assert f"budget {line}" in capsys.readouterr().out


def test_summary_as_json_has_the_verdict(capsys):
    config = command_config("summary", SummaryConfig, "model=step1", "format=json", "budget.enforce=true")
    assert print_model(config) == 1
    verdict = json.loads(capsys.readouterr().out)["budget"]
    assert verdict["met"] is False
    assert [check["met"] for check in verdict["checks"]] == [False, True]
