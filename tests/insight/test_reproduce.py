"""The overrides that train a run again compose exactly its config. Where none do, there is no command."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import pytest

from mnist_lite.config.compose import compose_run
from mnist_lite.insight.reproduce import overrides_of
from mnist_lite.runner.identity import identity

RECIPES = (
    ["experiment=era4"],
    ["experiment=step3", "seed=7", "epochs=2"],
    [
        "model=step3",
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "scheduler=plateau",
        "scheduler.patience=0",
        "data.holdout=1000",
    ],
    ["model=era4", "augment=strong", "ema_decay=0.98", "data.train_limit=1000", "batch_size=32", "init=kaiming"],
    [
        "model=step4",
        "model.layers=[{conv: 6, kernel: 5, stride: 2}, relu, {repeat: 2, layers: [{conv: 10}]}, global_avg_pool]",
    ],
    ["model=residual_8k", "scheduler=warmup_cosine", "optimizer=adamw", "optimizer.betas=[0.8,0.99]", "augment=affine"],
)


def as_stored(overrides: list[str]) -> dict[str, Any]:
    """The config as ``config.yaml`` has it."""
    return {"format": 2, **asdict(compose_run(overrides))}


@pytest.mark.parametrize("overrides", RECIPES, ids=lambda recipe: " ".join(recipe)[:30])
def test_the_overrides_compose_the_same_run(overrides: list[str]):
    found = overrides_of(as_stored(overrides))
    assert found is not None
    assert identity(compose_run(shlex.split(shlex.join(found)))) == identity(compose_run(overrides))


def test_a_shipped_recipe_is_one_word():
    assert overrides_of(as_stored(["experiment=era4"])) == ["experiment=era4"]
    assert overrides_of(as_stored(["experiment=era4", "optimizer.lr=0.03"])) == ["experiment=era4", "optimizer.lr=0.03"]


def test_a_model_of_the_user_is_written_out():
    stored = as_stored(["model=step4", "model.layers=[{conv: 10, kernel: 9}, relu, global_avg_pool]"])
    stored["choices"]["model"] = "mine"
    stored["model"] = {"my_width": 10, "layers": stored["model"]["layers"]}
    found = overrides_of(stored)
    assert found is not None and not any(each.startswith("model=") for each in found)
    assert compose_run(found).model["layers"] == stored["model"]["layers"]


@pytest.mark.parametrize(
    "change",
    [
        {"hydra": {"run": {"dir": "/"}}},
        {"optimizer": {"name": "SGD", "lr": "$(touch hacked)", "x y": 1}},
        {"optimizer": {"name": "SGD", "lr": float("nan")}},
        {"model": {"layers": [{"conv: 1}": 2}]}},
        {"epochs": "many"},
        {"data": None},
    ],
    ids=str,
)
def test_a_config_that_cannot_be_composed_has_no_command(change: dict[str, Any]):
    assert overrides_of(as_stored(["model=step3"]) | change) is None


@pytest.mark.parametrize("text", ["a'b", "it's \\", "x=1,y", "${now:}", "null", "1e5", " a "])
def test_any_text_is_quoted_or_refused(text: str):
    stored = as_stored(["model=step3"])
    stored["model"]["note"] = text
    found = overrides_of(stored)
    assert found is None or compose_run(found).model["note"] == text
