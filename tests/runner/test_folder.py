"""The folder of a run: its name, its lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_lite.errors import UserError
from mnist_lite.runner.folder import FolderInUseError, RunFolder


def test_folders_are_never_shared(tmp_path: Path):
    folders = [RunFolder.create(tmp_path, "same/../name é") for _ in range(20)]
    assert len({folder.path for folder in folders}) == 20
    for folder in folders:
        assert folder.path.parent == tmp_path
        folder.close()


def test_an_unusable_runs_dir_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="runs_dir"):
        RunFolder.create(tmp_path / "file" / "runs", "x")


def test_a_folder_in_use_cannot_be_opened_until_it_is_closed(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("format: 2\n")
    first = RunFolder.open_existing(tmp_path)
    with pytest.raises(FolderInUseError):
        RunFolder.open_existing(tmp_path)
    first.close()
    RunFolder.open_existing(tmp_path).close()


def test_a_run_is_started_once_in_a_folder(tmp_path: Path):
    folder = RunFolder.create_at(tmp_path / "job")
    folder.write("config.yaml", b"format: 2\n")
    folder.close()
    with pytest.raises(FolderInUseError, match="another process has started"):
        RunFolder.create_at(tmp_path / "job")
