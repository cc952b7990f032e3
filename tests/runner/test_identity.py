"""Which configs describe the same run."""

from __future__ import annotations

import pytest

from mnist_lite.runner.identity import identity, is_irrelevant
from tests.conftest import Compose

SAME = [
    ("optimizer.lr=1", "optimizer.lr=1.0"),
    ("optimizer.weight_decay=0", "optimizer.weight_decay=0.0"),
    ("optimizer=sgd optimizer.momentum=0", "optimizer=sgd optimizer.momentum=0.0"),
    ("optimizer=sgd optimizer.lr=0.1", "optimizer=sgd optimizer.lr=0.1 +optimizer.foreach=null"),
    ("scheduler=step scheduler.gamma=1", "scheduler=step scheduler.gamma=1.0"),
    ("scheduler=warmup_cosine", "scheduler=warmup_cosine optimizer.lr=1e-2"),
    ("model=era4 model.dropout=0", "model=era4 model.dropout=0.0"),
    ("model=era4", "model=bn_dropout_8k"),
    ("model=era4 model.width=12", "model=era4 +model.unused=3"),
    ("model.layers=[{conv: 10},global_avg_pool]", "model.layers=[{conv: 10, kernel: 3, bias: false},global_avg_pool]"),
    (
        "model.layers=[relu,relu,{conv: 10},global_avg_pool]",
        "model.layers=[{repeat: 2, layers: [relu]},{conv: 10},global_avg_pool]",
    ),
    (
        "model.layers=[{residual: {layers: [relu, {conv: 1, padding: 1}]}},{conv: 10},global_avg_pool]",
        "model.layers=[{residual: [{repeat: 1, layers: [relu]},{conv: 1, padding: 1}], name: a},{conv: 10},global_avg_pool]",
    ),
    (
        "model.layers=[{repeat: 4, shared: true, layers: [{conv: 1}, relu]},{conv: 10},global_avg_pool]",
        "model.layers=[{repeat: 2, shared: true, layers: [{repeat: 2, shared: true, layers: [{conv: 1}, relu]}]},"
        "{conv: 10},global_avg_pool]",
    ),
    (
        "model.layers=[{repeat: 2, shared: true, layers: [relu]},{conv: 10},global_avg_pool]",
        "model.layers=[{repeat: 2, layers: [relu]},{conv: 10},global_avg_pool]",
    ),
    ("augment.transforms=[{rotate: 7}]", "augment.transforms=[{rotate: 7.0}]"),
    ("augment.transforms=[{rotate: 7}]", "augment.transforms=[{rotate: {degrees: 7}}]"),
    ("augment=rotation augment.degrees=7", "augment.transforms=[{rotate: 7}]"),
    ("label_smoothing=0", "label_smoothing=0.0"),
    ("budget.accuracy=99", "budget.accuracy=100 budget.enforce=true budget.parameters=5"),
    ("threads=1 device=cpu name=a checkpoint.steps=3 data.root=x", "threads=2 device=cuda name=b"),
]
DIFFERENT = [
    ("optimizer.lr=1", "optimizer.lr=1.1"),
    ("optimizer=sgd optimizer.nesterov=true", "optimizer=sgd optimizer.nesterov=false"),
    ("optimizer.decay_bias_and_norm=true", "optimizer.decay_bias_and_norm=false"),
    ("scheduler=step scheduler.step_size=6", "scheduler=step scheduler.step_size=6.0"),  # torch's own rule: refused
    ("scheduler=step", "scheduler=step scheduler.interval=step"),
    ("model=era4", "model=era3"),
    ("model=era4 model.dropout=0", "model=era4 model.dropout=0.1"),
    ("model=era4 model.width=12", "model=era4 model.width=14"),
    (
        "model.layers=[{residual: [relu]},{conv: 10},global_avg_pool]",
        "model.layers=[{residual: [tanh]},{conv: 10},global_avg_pool]",
    ),
    ("model.layers=[{residual: [relu]},{conv: 10},global_avg_pool]", "model.layers=[relu,{conv: 10},global_avg_pool]"),
    (
        "model.layers=[{repeat: 2, shared: true, layers: [{conv: 1}]},{conv: 10},global_avg_pool]",
        "model.layers=[{repeat: 2, layers: [{conv: 1}]},{conv: 10},global_avg_pool]",
    ),
    ("data=mnist", "data=digits"),
    ("data.test_limit=100", "data.test_limit=200"),
    ("augment.transforms=[{rotate: 7},{translate: 1}]", "augment.transforms=[{translate: 1},{rotate: 7}]"),
    ("seed=0", "seed=1"),
    ("epochs=3", "epochs=4"),
    ("precision=fp32", "precision=bf16"),
    ("ema_decay=null", "ema_decay=0.5"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_configs_of_the_same_run(first: str, second: str, composed: Compose):
    assert identity(composed(*words(first))) == identity(composed(*words(second)))


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_configs_of_different_runs(first: str, second: str, composed: Compose):
    assert identity(composed(*words(first))) != identity(composed(*words(second)))


def test_a_config_that_no_run_accepts_has_an_identity_of_its_own(composed: Compose):
    """Such a job fails. It must not stand in the way of the correct one."""
    bad = (
        "model.layers=[nothing]",
        "optimizer.name=None",
        "optimizer.lr=abc",
        "augment.transforms=[7]",
        "scheduler.name=X",
    )
    assert len({identity(composed(word)) for word in bad}) == len(bad)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("threads", True), ("budget.accuracy", True), ("data.root", True), ("data.name", False), ("optimizer.lr", False)],
)
def test_irrelevant_overrides(key: str, expected: bool):
    assert is_irrelevant(key) is expected


def words(text: str) -> list[str]:
    """The overrides in ``text``. A list has spaces of its own."""
    return [text] if "[" in text else text.split(" ")
