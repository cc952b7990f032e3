"""Fixtures of the fault tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.child import only_run, train
from tests.faults.compare import rows
from tests.faults.recipes import FEW, RECIPES, STEPS


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of an uninterrupted run of each recipe."""
    folders = {}
    for name, recipe in RECIPES.items():
        folder = tmp_path_factory.mktemp(name)
        done = train(folder, *FEW, *recipe)
        assert done.code == 0, done.text
        folders[name] = only_run(folder)
        assert rows(folders[name])[-1]["step"] == STEPS
    return folders
