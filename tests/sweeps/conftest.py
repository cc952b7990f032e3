"""Fixtures for tests of sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeps import inline
from tests.sweeps.commands import SWEEP, run


@pytest.fixture
def run_inline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> inline.RunInline:
    """``run_inline("-m", ...)``: the train command in this process. The sweep's folder is ``tmp_path / "sweep"``."""

    def run_it(*arguments: str) -> tuple[int, str]:
        return inline.train(tmp_path, monkeypatch, capfd, *arguments, f"sweep.dir={tmp_path / 'sweep'}")

    return run_it


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was not interrupted, by the real command."""
    folder = tmp_path_factory.mktemp("reference")
    code, text = run(folder, *SWEEP)
    assert code == 0, text
    assert text.count(" %  optimizer.lr=") == 4
    return folder / "sweep"
