"""Runs commands in the process of the tests, which is faster than a subprocess."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from tests.conftest import RunCommand


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """``call("train", "epochs=1")`` does what ``run_command`` does, without a new process.

    Signal handlers and closed streams are not set up. Use ``run_command`` for sweeps, signals and streams.
    """

    def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        module = importlib.import_module(f"mnist_lite.{command}")
        monkeypatch.setattr(module, "begin", lambda: None)
        monkeypatch.setattr(sys, "argv", [f"mnist-lite {command}", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # the command sets it; this removes it after the test
        monkeypatch.chdir(tmp_path)
        GlobalHydra.instance().clear()
        capsys.readouterr()
        code: object = 0
        try:
            module.main()
        except SystemExit as end:
            code = end.code or 0
        assert isinstance(code, int)
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess([command, *arguments], code, output, errors)

    return run
