"""What the tests of sweeps share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeps.whole import SWEEP, run


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep that nobody disturbs."""
    folder = tmp_path_factory.mktemp("reference")
    code, text = run(folder, *SWEEP)
    assert code == 0, text
    assert text.count(" %  optimizer.lr=") == 4
    return folder / "sweep"
