"""What is found out before a run starts, and what torch is told to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnist_lite.config.schema import Config
from mnist_lite.data import dataset
from mnist_lite.data.dataset import Split, possible_counts
from mnist_lite.errors import UserError
from mnist_lite.reporting.console import Console
from mnist_lite.runner import setup
from tests.conftest import Compose

BASE = ("model=era4", "batch_size=64", "epochs=2", "backend=torch", "scheduler=onecycle", "data.root=nowhere")


def prepared(config: Config) -> setup.RunParts:
    with torch.random.fork_rng(devices=[]):
        return setup.set_up_run(config, Console())


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data must not be read: that may be a download."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr(setup, "load", refuse)


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (("data=digits",), 46),  # 1,437 images are 23 batches of 64
        (("data=digits", "data.holdout=157"), 40),
        (("data=digits", "data.train_limit=100"), 4),
        (("data=digits", "data.train_limit=100", "data.holdout=157"), 4),
        (("data=auto",), 46),
        (("data=auto", "data.holdout=157"), 40),
        (("data=auto", "data.train_limit=100"), 4),
    ],
)
def test_a_schedule_with_the_steps_of_the_run_works_and_a_shorter_one_is_refused(
    words, steps, composed: Compose, offline: None
):
    parts = prepared(composed(*BASE, *words, f"scheduler.total_steps={steps}"))
    assert parts.trainer.steps_per_epoch * 2 == steps
    with pytest.raises(UserError, match=r"OneCycleLR cannot do \d+ steps"):
        prepared(composed(*BASE, *words, f"scheduler.total_steps={steps - 1}"))


@pytest.mark.parametrize(
    ("words", "steps", "said"),
    [
        (("data=digits",), 45, 46),
        (("data=mnist",), 1875, 1876),
        (("data=mnist", "data.holdout=5000"), 1719, 1720),
        (("data=mnist", "data.train_limit=6400"), 199, 200),
        (("data=auto",), 45, 1876),  # too short for either
        (("data=auto", "data.train_limit=640"), 19, 20),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_before_the_data_is_read(
    words, steps, said, composed: Compose, untouched: None
):
    with pytest.raises(UserError, match=f"OneCycleLR cannot do {said} steps"):
        prepared(composed(*BASE, *words, f"scheduler.total_steps={steps}"))


def test_a_schedule_for_the_digits_is_refused_where_auto_finds_mnist(composed: Compose, monkeypatch):
    """46 steps are enough for the digits, so this is known only when the data has been read."""
    images = torch.zeros(60_000, 1, 28, 28, dtype=torch.uint8)
    part = Split(images, torch.arange(60_000) % 10)
    found = dataset.Dataset("mnist", part, part, None, 0.0, 1.0)
    monkeypatch.setattr(setup, "load", lambda *_arguments: found)
    with pytest.raises(UserError, match="OneCycleLR cannot do 1876 steps"):
        prepared(composed(*BASE, "data=auto", "scheduler.total_steps=46"))


@pytest.mark.parametrize("holdout", [0, 100, 1000])
@pytest.mark.parametrize("limit", [None, 10, 205])
def test_the_possible_number_of_training_images_is_that_of_the_data(holdout, limit, composed: Compose):
    limits = () if limit is None else (f"data.train_limit={limit}",)
    config = composed("data=digits", f"data.holdout={holdout}", *limits).data
    assert possible_counts(config) == [len(dataset.load(config).train)]


def test_auto_may_be_either_data_set(composed: Compose):
    assert possible_counts(composed("data=auto").data) == [60_000, 1_437]
    assert possible_counts(composed("data=mnist", "data.holdout=5000").data) == [55_000]
